//! The papers as JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{FormerPage, Page, Section, abstract_page, pdf, readable};
use crate::model::Paper;

#[derive(Serialize)]
struct Document {
    updated: chrono::DateTime<chrono::Utc>,
    sections: Vec<Value>,
}

#[derive(Deserialize)]
struct Former {
    sections: Vec<Value>,
}

#[derive(Serialize)]
struct Entry<'a> {
    /// Readable text; `source` has the TeX.
    title: String,
    #[serde(rename = "abstract")]
    abstract_text: String,
    url: String,
    pdf: String,
    source: &'a Paper,
}

/// The document; a section that is incomplete stays as it was in the former page.
pub(super) fn write(page: &Page, former: &FormerPage) -> String {
    let former: Vec<Value> = serde_json::from_str::<Former>(former.text()).map_or_else(|_| Vec::new(), |f| f.sections);
    let sections = page
        .sections
        .iter()
        .map(|section| {
            former
                .iter()
                .find(|as_it_was| section.is_incomplete && as_it_was["keyword"] == section.keyword.as_str())
                .map_or_else(|| value(section), kept)
        })
        .collect();
    let document = Document {
        updated: page.updated,
        sections,
    };
    let mut text = serde_json::to_string_pretty(&document).expect("strings, numbers and times always fit into JSON");
    text.push('\n');
    text
}

fn value(section: &Section) -> Value {
    let papers: Vec<Entry<'_>> = section
        .papers
        .iter()
        .map(|paper| Entry {
            title: readable(&paper.title),
            abstract_text: readable(&paper.abstract_text),
            url: abstract_page(paper),
            pdf: pdf(paper),
            source: paper,
        })
        .collect();
    serde_json::json!({
        "keyword": section.keyword,
        "complete": !section.is_incomplete,
        "papers": papers,
    })
}

fn kept(as_it_was: &Value) -> Value {
    let mut kept = as_it_was.clone();
    kept["complete"] = Value::Bool(false);
    kept
}
