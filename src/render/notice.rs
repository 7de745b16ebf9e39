//! Mails that are no digest, in the digests' hand: a test, a report to the operator.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    RenderError, Rendered, Renderer, Settings,
    clean::{clip, line},
    view::{KEYWORD_CHARS_MAX, Page},
    words::Days,
};

/// Bounds of single texts, in characters: servers' words stand in them.
const LINE_CHARS_MAX: usize = 200;
const PARAGRAPH_CHARS_MAX: usize = 2_000;

/// What the templates of these mails are called.
pub(super) const NAME: &str = "notice";

/// What such a mail says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The subject.
    pub subject: String,
    /// The first visible line.
    pub lead: String,
    /// What stands large above it all.
    pub headline: String,
    /// What it says, one below the other.
    pub blocks: Vec<Block>,
    /// Why the reader gets it.
    pub why: String,
}

/// Paragraphs that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Block {
    /// What they are about, and how many there are; paragraphs without it are plain words.
    pub heading: Option<(String, String)>,
    /// The paragraphs, each one line.
    pub paragraphs: Vec<String>,
}

impl Renderer {
    /// Renders a mail that is no digest.
    ///
    /// # Errors
    /// The built-in templates fail on it, which is a mistake in the program.
    pub fn notice(&self, notice: &Notice, at: DateTime<Utc>) -> Result<Rendered, RenderError> {
        let page = page(notice, at, &self.settings);
        let subject = page.subject.clone();
        let parts = ["txt", "html"].map(|part| format!("{NAME}.{part}.j2"));
        let (mut rendered, fell_back) = self.templates.render(&parts, page).map_err(|source| RenderError {
            what: format!("the mail {:?}", notice.subject),
            template: source.name().unwrap_or(NAME).to_owned(),
            source,
        })?;
        let html = rendered.pop().unwrap_or_default();
        let text = rendered.pop().unwrap_or_default();
        Ok(Rendered {
            subject,
            text,
            html,
            fell_back,
        })
    }
}

/// Everything in lines of bounded length, whatever a server put into them.
pub(super) fn page(notice: &Notice, at: DateTime<Utc>, settings: &Settings) -> Page {
    let days = Days::new(at, "UTC");
    let short = |text: &str| clip(text, LINE_CHARS_MAX);
    let blocks = notice
        .blocks
        .iter()
        .map(|block| Block {
            heading: block.heading.as_ref().map(|(name, count)| (short(name), short(count))),
            paragraphs: block
                .paragraphs
                .iter()
                .map(|text| clip(text, PARAGRAPH_CHARS_MAX))
                .collect(),
        })
        .collect();
    let mut page = Page::blank(clip(&settings.sender_name, KEYWORD_CHARS_MAX), settings);
    page.subject = line(&notice.subject);
    page.lead = short(&notice.lead);
    page.headline = short(&notice.headline);
    page.date = days.whole(at);
    page.blocks = blocks;
    page.why = short(&notice.why);
    page
}
