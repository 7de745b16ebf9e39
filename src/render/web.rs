//! Pages for the browser in the style of the mails: what a reader can do, and papers to look through.

use minijinja::{Value, context, value::Serde};
use serde::Serialize;

use super::{
    RenderError, Renderer, Settings, Sources,
    cards::{Builder, Cuts, Section, Version},
    clean::clip,
    kept::KeptCards,
    palette::{DARK, LIGHT},
    sample,
    view::KEYWORD_CHARS_MAX,
    words::{Days, count},
};
use crate::model::DigestRecord;

/// A page of sentences and buttons.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WebPage {
    /// The one heading, and the title of the window.
    pub headline: String,
    /// What is to be said.
    pub paragraphs: Vec<String>,
    /// What can be done.
    pub forms: Vec<Form>,
    /// The address of the reader's feed, relative to this page.
    pub feed: Option<String>,
    /// Where a person answers.
    pub contact: Option<String>,
}

/// Some buttons under a heading.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Form {
    /// The name by which an address can point to it.
    pub name: Option<&'static str>,
    /// The heading.
    pub heading: Option<&'static str>,
    /// What the buttons are about.
    pub text: Option<String>,
    /// The buttons.
    pub buttons: Vec<Button>,
}

/// One thing that can be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Button {
    /// What is sent.
    pub action: &'static str,
    /// What it says.
    pub label: &'static str,
    /// Whether it is what most people came for.
    pub is_main: bool,
}

/// What is asked of the page of papers, and how much there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PapersPage {
    /// The keywords to choose from.
    pub keywords: Vec<String>,
    /// The chosen one, empty for all.
    pub keyword: String,
    /// The chosen day as `2026-02-10`, empty for all.
    pub day: String,
    /// The earliest and the latest day that can be chosen.
    pub days: (String, String),
    /// What was found, in words.
    pub found: String,
    /// Whether only the beginning of each section is shown.
    pub is_overview: bool,
}

/// What the templates call `page` where papers are listed.
#[derive(Debug, Serialize)]
struct Listing {
    sections: Vec<Section>,
    versions: Vec<Version>,
    versions_count: String,
}

impl Renderer {
    /// A page of sentences and buttons.
    ///
    /// # Errors
    /// The built-in template fails on it, which is a mistake in the program.
    pub fn web_page(&self, page: &WebPage) -> Result<String, RenderError> {
        self.web("web", &values(page.clone(), &self.settings))
    }

    /// The papers of a record with a form to search them.
    ///
    /// # Errors
    /// The built-in template fails on it, which is a mistake in the program.
    pub fn papers_page(
        &self,
        page: &PapersPage,
        record: &DigestRecord,
        sources: &Sources<'_>,
    ) -> Result<String, RenderError> {
        let values = papers_values(page.clone(), record, sources, &self.settings, &self.kept);
        self.web("papers", &values)
    }

    fn web(&self, name: &str, values: &Value) -> Result<String, RenderError> {
        let parts = [format!("{name}.html.j2")];
        let (mut rendered, fell_back) = self
            .templates
            .render_values(&parts, values)
            .map_err(|source| RenderError {
                what: format!("the page {name}"),
                template: parts[0].clone(),
                source,
            })?;
        if let Some(problem) = fell_back {
            tracing::error!(why = %problem, "a template failed; the built-in one was used");
        }
        Ok(rendered.pop().unwrap_or_default().to_string())
    }
}

/// An invented page for each template, on which overriding ones are tried.
pub(super) fn samples(settings: &Settings) -> [(&'static str, Value); 2] {
    let page = WebPage {
        headline: "A headline".to_owned(),
        paragraphs: vec!["A paragraph.".to_owned()],
        forms: vec![Form {
            name: Some("name"),
            heading: Some("A heading"),
            text: Some("A text.".to_owned()),
            buttons: vec![Button {
                action: "leave",
                label: "A label",
                is_main: true,
            }],
        }],
        feed: Some("../s/token.atom".to_owned()),
        contact: Some("ops@example.org".to_owned()),
    };
    let papers = PapersPage {
        keywords: vec!["graph neural network".to_owned(), "causal inference".to_owned()],
        keyword: "causal inference".to_owned(),
        is_overview: true,
        ..PapersPage::default()
    };
    let listed =
        sample::with_record(|record, sources| papers_values(papers, record, sources, settings, &KeptCards::default()));
    [("web", values(page, settings)), ("papers", listed)]
}

fn values(page: WebPage, settings: &Settings) -> Value {
    context! {
        web => Value::from(Serde(page)),
        sender => clip(&settings.sender_name, KEYWORD_CHARS_MAX),
        light => Value::from(Serde(LIGHT)),
        dark => Value::from(Serde(DARK)),
    }
}

fn papers_values(
    asked: PapersPage,
    record: &DigestRecord,
    sources: &Sources<'_>,
    settings: &Settings,
    kept: &KeptCards,
) -> Value {
    let days = Days::new(record.frozen_at, &record.zone);
    let builder = Builder::new(record, sources, settings, days, kept);
    let mut cuts = Cuts::default();
    let listing = Listing {
        sections: record
            .sections
            .iter()
            .filter_map(|section| builder.section(section, &mut cuts))
            .collect(),
        versions: Vec::new(),
        versions_count: count(0, "paper"),
    };
    let web = WebPage {
        headline: "Daily papers".to_owned(),
        ..WebPage::default()
    };
    let frame = values(web, settings);
    context! {
        page => Value::from(Serde(listing)),
        search => Value::from(Serde(asked)),
        ..frame
    }
}
