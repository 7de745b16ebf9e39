//! From a stored digest to subject, text and HTML: pure, the same bytes for the same input.
//!
//! ```text
//! DigestRecord ─▶ view (what is said, in words) ─▶ templates ─▶ Rendered
//!                   ├─ cards            the papers; kept: made once for all who get them
//!                   │    ├─ prose, excerpt   titles and abstracts with their marks
//!                   │    ├─ authors, venue   the lines between them
//!                   │    └─ links            the only addresses a mail links to
//!                   └─ sentences        what stands around them
//! body: what one part says, most of it shared with other mails
//! governor: how much of it fits into one mail, decided before the digest is enqueued
//! ```
//!
//! Nothing from a feed is trusted: it is cleaned of control characters, bounded and escaped here.

mod authors;
mod body;
mod cards;
mod clean;
mod environment;
mod excerpt;
mod governor;
mod kept;
mod links;
mod notice;
mod palette;
mod prose;
mod sample;
mod sentences;
mod venue;
mod view;
mod web;
mod words;
mod wrap;

use std::{ops::Range, path::PathBuf, sync::Arc};

pub use body::Body;
pub use clean::line;
pub use environment::{TemplateError, TemplateProblem};
pub use governor::{Fitted, HTML_BYTES_MIN};
pub use links::doi;
pub use notice::{Block, Notice};
pub use web::{Button, Form, PapersPage, WebPage};
pub use words::count;

use environment::Templates;
use kept::KeptCards;
use view::Page;

use crate::model::{DigestKind, DigestRecord, Paper, Shown, VersionedId};

/// A title or an abstract as one readable line with the given ranges of bytes set between `open` and `close`.
pub fn marked_line(source: &str, marks: &[Range<usize>], open: &str, close: &str) -> String {
    prose::Prose::read(source, marks).marked(open, close)
}

/// A further link under each paper, from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredLink {
    /// What it is called: `alphaXiv`.
    pub name: String,
    /// Its address with `{id}` where the identifier goes; `https` or `http`.
    pub url: String,
}

/// What every mail has in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Further links under each paper; those whose address is no plain `http(s)` address are left out.
    pub links: Vec<ConfiguredLink>,
    /// How many authors are named before the rest is counted.
    pub authors_max: usize,
    /// How much of each paper is meant to be shown; what the governor cut below this is said in the mail.
    pub abstracts: Shown,
    /// The largest HTML part in bytes, as it travels (quoted-printable); at least [`HTML_BYTES_MIN`].
    pub html_bytes_max: usize,
    /// The service's own page, if it has one.
    pub public_url: Option<String>,
    /// What the service is called in the mail: the sender's display name.
    pub sender_name: String,
    /// Where a person answers: for changing and pausing. Without it the mail says to reply.
    pub contact: Option<String>,
    /// Where templates may be overridden.
    pub templates_dir: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            links: Vec::new(),
            authors_max: 6,
            abstracts: Shown::Full,
            html_bytes_max: 90_000,
            public_url: None,
            sender_name: "Paperround".to_owned(),
            contact: None,
            templates_dir: None,
        }
    }
}

/// The addresses that are this recipient's own. For a list's address none of them is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonalLinks {
    /// The page that asks for confirmation and then stops the mails.
    pub unsubscribe_url: Option<String>,
    /// The whole `mailto:` address that stops the mails.
    pub unsubscribe_mailto: Option<String>,
    /// This digest on the web.
    pub view_url: Option<String>,
}

/// Where a paper's text shows its keywords, in bytes of the stored text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Marks {
    /// In the title.
    pub title: Vec<Range<usize>>,
    /// In the abstract.
    pub abstract_text: Vec<Range<usize>>,
}

/// What a record only names: the papers' texts and where the subscriber's keywords stand in them.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The stored text of one version of a paper. Where it is missing the mail still links the paper.
    pub papers: &'a dyn Fn(&VersionedId) -> Option<Arc<Paper>>,
    /// Where a paper's text shows the keywords of this record.
    pub marks: &'a dyn Fn(&Arc<Paper>) -> Marks,
}

impl std::fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

/// A mail's parts before they are put into a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line, about 60 characters at most with the built-in templates, without control characters.
    pub subject: String,
    /// The plain part: lines of at most 72 columns except around addresses, ended by line feeds.
    pub text: Body,
    /// The HTML part.
    pub html: Body,
    /// The overriding template that failed on this digest, so that the built-in ones were used.
    pub fell_back: Option<TemplateProblem>,
}

/// A mail could not be rendered, not even with the built-in templates.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be rendered: template {template} fails; please report this")]
pub struct RenderError {
    /// Which mail.
    pub what: String,
    /// Which template.
    pub template: String,
    source: minijinja::Error,
}

/// The parts of a digest, the HTML last.
const PARTS: [&str; 3] = ["subject.txt", "txt", "html"];

/// Templates and settings, ready to render. Made anew for each run, so that a changed template is noticed.
#[derive(Debug)]
pub struct Renderer {
    settings: Settings,
    templates: Templates,
    kept: KeptCards,
}

impl Renderer {
    /// Loads the templates. An overriding template that is broken is left out and told by [`Renderer::problems`].
    ///
    /// # Errors
    /// The directory of templates is configured but cannot be read.
    pub fn new(mut settings: Settings) -> Result<Self, TemplateError> {
        settings.links.retain(|link| {
            let example = link.url.replace("{id}", "2401.00001");
            links::is_own(&example) && !example.starts_with("mailto:")
        });
        settings.public_url = settings.public_url.filter(|url| links::is_own(url));
        let templates = Templates::load(settings.templates_dir.as_deref(), &settings)?;
        Ok(Self {
            settings,
            templates,
            kept: KeptCards::default(),
        })
    }

    /// Overriding templates that are not used, each with its reason.
    pub fn problems(&self) -> &[TemplateProblem] {
        &self.templates.problems
    }

    /// Everything that enters the rendering besides the digest, in words that change when it does.
    pub fn fingerprint(&self) -> String {
        format!("{:?} {:?}", self.settings, self.templates.sources)
    }

    /// Renders a digest.
    ///
    /// # Errors
    /// The built-in templates fail on it, which is a mistake in the program.
    pub fn render(
        &self,
        record: &DigestRecord,
        sources: &Sources<'_>,
        links: &PersonalLinks,
    ) -> Result<Rendered, RenderError> {
        let page = Page::new(record, sources, links, &self.settings, &self.kept);
        let subject = page.subject.clone();
        let (mut rendered, fell_back) = self.parts(record, page, &PARTS)?;
        let html = rendered.pop().unwrap_or_default();
        let text = rendered.pop().unwrap_or_default();
        // Whatever a template does, the subject stays one line of bounded length.
        let line = clean::clip(
            &rendered.pop().unwrap_or_default().to_string(),
            view::SUBJECT_CHARS_LIMIT,
        );
        Ok(Rendered {
            subject: if line.is_empty() { subject } else { line },
            text,
            html,
            fell_back,
        })
    }

    /// The HTML part as [`Renderer::render`] makes it.
    fn html(&self, record: &DigestRecord, sources: &Sources<'_>, links: &PersonalLinks) -> Result<Body, RenderError> {
        let page = Page::new(record, sources, links, &self.settings, &self.kept);
        // One part whose override fails makes all of them fall back.
        let parts: &[&str] = if self.templates.is_overridden() {
            &PARTS
        } else {
            &PARTS[2..]
        };
        let (mut rendered, _) = self.parts(record, page, parts)?;
        Ok(rendered.pop().unwrap_or_default())
    }

    fn parts(
        &self,
        record: &DigestRecord,
        page: Page,
        parts: &[&str],
    ) -> Result<(Vec<Body>, Option<TemplateProblem>), RenderError> {
        let name = kind_name(record.kind);
        let parts: Vec<String> = parts.iter().map(|part| format!("{name}.{part}.j2")).collect();
        self.templates.render(&parts, page).map_err(|source| RenderError {
            what: format!("digest {}", record.id),
            template: source.name().unwrap_or(name).to_owned(),
            source,
        })
    }
}

/// Lines without blanks at their ends, never two empty ones in a row, so that templates need not count them.
fn squeezed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.trim().lines().map(str::trim_end) {
        if !(line.is_empty() && out.ends_with("\n\n")) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// What the templates of a kind of mail are called.
fn kind_name(kind: DigestKind) -> &'static str {
    match kind {
        DigestKind::Digest => "digest",
        DigestKind::Quiet => "quiet",
        DigestKind::Welcome => "welcome",
    }
}

#[cfg(test)]
mod documented;
#[cfg(test)]
mod tests;
