//! What `templates/README.md` promises whoever writes a template, held to what templates are given.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::{Settings, environment, palette::LIGHT, sample, web};
use crate::model::DigestKind;

const README: &str = include_str!("../../templates/README.md");

/// The rows of a table, each as the names in its first column and its second column.
type Table = Vec<(Vec<String>, String)>;

/// The words in backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The table below the paragraph that begins so.
fn table(paragraph: &str) -> Table {
    let (_, rest) = README.split_once(&format!("\n\n{paragraph}")).expect(paragraph);
    let rows = rest.lines().skip_while(|line| !line.starts_with("|---"));
    let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let (names, meaning) = row[1..].split_once('|').expect("a row has two columns");
        (quoted(names), meaning.to_owned())
    })
    .collect()
}

/// Every name of the table is a value, and every value is in the table; what a list's entries hold is named beside it.
#[track_caller]
fn check(table: &Table, given: &Json) {
    let given = given.as_object().expect("it has names");
    let documented: BTreeSet<&String> = table.iter().flat_map(|(names, _)| names).collect();
    assert_eq!(documented, given.keys().collect());
    for (names, meaning) in table {
        for name in names {
            let inner = inner_names(&given[name]);
            let told = match meaning.contains("link") {
                true => quoted("`label` `href`"),
                false => quoted(meaning),
            };
            if !inner.is_empty() {
                assert_eq!(inner, told.into_iter().collect(), "{name}: {meaning}");
            }
        }
    }
}

/// The names within a value at any depth, but for cards, which have a table of their own.
fn inner_names(value: &Json) -> BTreeSet<String> {
    match value {
        Json::Array(entries) => entries.iter().flat_map(inner_names).collect(),
        Json::Object(fields) => fields
            .iter()
            .flat_map(|(name, field)| {
                let inner = if name == "cards" {
                    BTreeSet::new()
                } else {
                    inner_names(field)
                };
                inner.into_iter().chain([name.clone()])
            })
            .collect(),
        _ => BTreeSet::new(),
    }
}

fn json(value: impl serde::Serialize) -> Json {
    serde_json::to_value(value).expect("values are written as JSON")
}

fn settings() -> Settings {
    Settings {
        sender_name: "Papers".to_owned(),
        public_url: Some("https://papers.example.org".to_owned()),
        contact: Some("ops@example.org".to_owned()),
        ..Settings::default()
    }
}

#[test]
fn the_values_of_the_templates_are_documented() {
    let mut page = json(sample::page(DigestKind::Digest, &settings()));
    page["blocks"] = json(sample::notice(&settings()))["blocks"].take();
    check(&table("`page` is one mail."), &page);
    check(&table("A card is one paper:"), &page["sections"][0]["cards"][0]);
    check(&table("`light` and `dark` hold the colours:"), &json(LIGHT));
    let [(_, of_web), (_, of_papers)] = web::samples(&settings());
    let (of_web, of_papers) = (json(of_web), json(of_papers));
    check(&table("The pages in the browser"), &of_web["web"]);
    check(&table("The page of papers also"), &of_papers["search"]);
    let names = |value: &Json| {
        value
            .as_object()
            .expect("it has names")
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&of_web), ["dark", "light", "sender", "web"]);
    assert_eq!(names(&of_papers), ["dark", "light", "page", "search", "sender", "web"]);
    assert_eq!(names(&of_papers["page"]), ["sections", "versions", "versions_count"]);
}

#[test]
fn every_template_is_named() {
    let named: BTreeSet<String> = table("These files are built into")
        .into_iter()
        .flat_map(|(names, _)| names)
        .collect();
    let built_in: BTreeSet<String> = environment::BUILT_IN
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(named, built_in);
}
