//! `[digest]`: what goes into a mail and how it looks.

use std::{path::PathBuf, time::Duration};

use super::{
    environment::Base,
    mailbox::check_name,
    section::Section,
    units::{DAY, show_size},
    url::parse_url,
};

/// Gmail cuts the HTML of a mail at about 102 kB: more is allowed, with a warning.
const HTML_BYTES_CLIPPED: u64 = 102_000;
/// The most links per paper.
const LINKS_MAX: usize = 10;

/// In which order a section shows its papers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The most recent first.
    Newest,
    /// The strongest match first: title hits, number of keywords, followed authors.
    Strength,
}

/// How much of each abstract is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abstracts {
    /// All of it.
    Full,
    /// Its beginning.
    Short,
    /// Nothing.
    None,
}

/// What is sent when there is no new paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    /// Nothing.
    Skip,
    /// After seven silent days one line: what was covered.
    Weekly,
    /// A mail each time.
    Send,
}

/// What becomes of later versions of papers that were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacements {
    /// Nothing.
    Ignore,
    /// They are listed.
    List,
}

/// One more link for each paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The text of the link.
    pub name: String,
    /// The address, in which `{id}` stands for the identifier.
    pub url: String,
}

/// The settings of `[digest]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// The most papers per section.
    pub papers_max: u32,
    /// In which order a section shows its papers.
    pub order: Order,
    /// Links besides abstract, PDF, HTML, DOI and code.
    pub links: Vec<Link>,
    /// The largest HTML part, in bytes.
    pub html_bytes_max: u64,
    /// How much of each abstract is shown.
    pub abstracts: Abstracts,
    /// How many authors are named before "and … more".
    pub authors_max: u32,
    /// What is sent when there is no new paper.
    pub empty: Empty,
    /// Whether a newcomer's first digest is a welcome.
    pub welcome: bool,
    /// What becomes of later versions.
    pub replacements: Replacements,
    /// Whether categories other than the primary one count.
    pub cross_lists: bool,
    /// How far back a new subscription starts.
    pub first_digest: Duration,
    /// The folder of templates that override the built-in ones.
    pub templates_dir: Option<PathBuf>,
}

impl Digest {
    pub(super) fn read(section: Section<'_>, base: &Base) -> Self {
        let html_bytes_max = section.size("html_bytes_max", 90_000, 10_000..=5_000_000);
        if html_bytes_max > HTML_BYTES_CLIPPED
            && let Some(entry) = section.get("html_bytes_max")
        {
            section.sink().warn(
                &entry.place,
                format!("Gmail cuts mails above {}", show_size(HTML_BYTES_CLIPPED)),
                "the end of the digest, with the way to leave, may be hidden there",
            );
        }
        let digest = Self {
            papers_max: section.number("papers_max", 100, 1..=1_000),
            order: section.choice(
                "order",
                Order::Newest,
                &[("newest", Order::Newest), ("strength", Order::Strength)],
            ),
            links: read_links(&section),
            html_bytes_max,
            abstracts: section.choice(
                "abstracts",
                Abstracts::Full,
                &[
                    ("full", Abstracts::Full),
                    ("short", Abstracts::Short),
                    ("none", Abstracts::None),
                ],
            ),
            authors_max: section.number("authors_max", 6, 1..=1_000),
            empty: section.choice(
                "empty",
                Empty::Weekly,
                &[("skip", Empty::Skip), ("weekly", Empty::Weekly), ("send", Empty::Send)],
            ),
            welcome: section.bool("welcome", false),
            replacements: section.choice(
                "replacements",
                Replacements::Ignore,
                &[("ignore", Replacements::Ignore), ("list", Replacements::List)],
            ),
            cross_lists: section.bool("cross_lists", true),
            first_digest: section.duration("first_digest", 3 * DAY, Duration::ZERO..=30 * DAY),
            templates_dir: read_templates_dir(&section, base),
        };
        section.finish(|_| None);
        digest
    }
}

fn read_links(section: &Section<'_>) -> Vec<Link> {
    let Some(entry) = section.get("links") else {
        section.note("links", None);
        return Vec::new();
    };
    let tables = entry.inline_tables();
    if tables.len() > LINKS_MAX {
        entry.refuse(
            format!("has {} links", tables.len()),
            format!("allowed: up to {LINKS_MAX}"),
        );
    }
    let links: Vec<Link> = tables.into_iter().filter_map(read_link).collect();
    let shown: Vec<String> = links.iter().map(|link| format!("{} {}", link.name, link.url)).collect();
    section.note("links", Some(format!("[{}]", shown.join(", "))));
    links
}

fn read_link(table: Section<'_>) -> Option<Link> {
    let example = "write { name = \"alphaXiv\", url = \"https://www.alphaxiv.org/abs/{id}\" }";
    let sink = table.sink();
    let (name, url) = (table.string("name"), table.string("url"));
    let place = table.place().clone();
    table.finish(|_| None);
    let (Some(name), Some(url)) = (name, url) else {
        sink.refuse(&place, "a link needs name and url", example);
        return None;
    };
    let name = match check_name(&name) {
        Ok(Some(name)) => name,
        Ok(None) => {
            sink.refuse(&place, "the name of a link is blank", example);
            return None;
        }
        Err(wrong) => {
            sink.refuse(&place, wrong.what, wrong.mend);
            return None;
        }
    };
    if !url.contains("{id}") {
        sink.refuse(&place, "the url of a link lacks {id}", example);
        return None;
    }
    // The identifier takes the place of `{id}` in the path or query, never in the host.
    let filled = url.replace("{id}", "2401.01234");
    let Some(is_whole) = parse_url(&filled)
        .ok()
        .map(|parsed| parsed.scheme() == "https" && !parsed.host_str().is_some_and(|host| host.contains("2401.01234")))
    else {
        sink.refuse(&place, "the url of a link is not a web address", example);
        return None;
    };
    if !is_whole {
        sink.refuse(
            &place,
            "the url of a link must begin with https:// and a host without {id}",
            example,
        );
        return None;
    }
    Some(Link { name, url })
}

fn read_templates_dir(section: &Section<'_>, base: &Base) -> Option<PathBuf> {
    let dir = section.string("templates_dir").map(|dir| base.read(&dir))?;
    section.note("templates_dir", Some(dir.display().to_string()));
    if !dir.is_dir() {
        section.get("templates_dir")?.refuse(
            format!("{} is not a folder", dir.display()),
            "make it, or remove the key",
        );
    }
    Some(dir)
}
