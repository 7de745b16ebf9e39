//! TeX of the recorded titles and abstracts, judged by what a reader is shown. Nothing here knows how it is read.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, and its line says where"
)]

use std::{collections::BTreeMap, fmt::Write as _, fs};

use paperround::tex;
use ring::digest::{SHA256, digest};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/arxiv/corpus.jsonl");
/// The least share of formulas that must be converted fully, in per cent.
const SHARE_MIN: usize = 97;
/// How many texts were looked at by a person.
const N_REVIEWED: usize = 300;
/// Each with what it was made into when it was looked at: recorded texts themselves stay where they are.
const REVIEWED: &str = include_str!("reviewed.txt");

/// One title or abstract.
struct Source {
    name: String,
    text: String,
}

/// The recorded titles and abstracts that may hold TeX; `None`, with the reason printed, where the data is absent.
fn sources() -> Option<Vec<Source>> {
    let Ok(corpus) = fs::read_to_string(CORPUS) else {
        println!("skipped: ../shared is absent");
        return None;
    };
    let mut sources = Vec::new();
    for line in corpus.lines() {
        let row: BTreeMap<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        for field in ["title", "abstract"] {
            let text = row[field].as_str().unwrap_or_default();
            if text.contains(['\\', '$']) {
                sources.push(Source {
                    name: format!("{} {field}", row["id"].as_str().unwrap()),
                    text: text.to_owned(),
                });
            }
        }
    }
    Some(sources)
}

#[test]
fn nearly_all_recorded_formulas_are_converted_fully() {
    let Some(sources) = sources() else { return };
    let formulas: Vec<&str> = sources.iter().flat_map(|source| formulas(&source.text)).collect();
    let left: Vec<&&str> = formulas.iter().filter(|formula| !is_fully_converted(formula)).collect();
    let (n_all, n_converted) = (formulas.len(), formulas.len() - left.len());
    println!(
        "{n_converted} of {n_all} formulas converted fully ({:.2} %), in {} titles and abstracts",
        100.0 * n_converted as f64 / n_all as f64,
        sources.len()
    );
    assert!(sources.len() > 1_300 && n_all > 3_000);
    assert!(n_converted * 100 >= n_all * SHARE_MIN, "left: {left:#?}");
}

/// What stands between two dollar signs, or two pairs of them.
fn formulas(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(open) = find_sign(rest) {
        let width = if rest[open..].starts_with("$$") { 2 } else { 1 };
        let inside = &rest[open + width..];
        let Some(close) = find_sign(inside) else { break };
        let end = open + width + close + width;
        found.push(rest.get(open..end).unwrap_or(&rest[open..]));
        rest = rest.get(end..).unwrap_or_default();
    }
    found
}

/// The first dollar sign that is not escaped.
fn find_sign(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (0..bytes.len()).find(|at| {
        let n_before = bytes[..*at].iter().rev().take_while(|byte| **byte == b'\\').count();
        bytes[*at] == b'$' && n_before % 2 == 0
    })
}

/// Whether no sign of TeX is left in what is shown, but for those that the formula itself shows.
fn is_fully_converted(formula: &str) -> bool {
    let shown = without_tags(&tex::to_html(formula, &[], ("", "")));
    let shows = |sign: char| {
        let escaped = formula.matches(&format!("\\{sign}")).count();
        let named: &[&str] = match sign {
            '\\' => &["\\backslash", "\\setminus"],
            '{' => &["\\lbrace"],
            '}' => &["\\rbrace"],
            _ => &[],
        };
        escaped + named.iter().map(|name| formula.matches(name).count()).sum::<usize>()
    };
    ['\\', '{', '}', '$', '^', '_']
        .into_iter()
        .all(|sign| shown.matches(sign).count() <= shows(sign))
}

fn without_tags(html: &str) -> String {
    let mut text = String::new();
    let mut is_tag = false;
    for c in html.chars() {
        match c {
            '<' => is_tag = true,
            '>' => is_tag = false,
            _ if !is_tag => text.push(c),
            _ => {}
        }
    }
    text
}

#[test]
fn three_hundred_texts_are_shown_as_when_they_were_looked_at() {
    let Some(sources) = sources() else { return };
    let now = fingerprints(&sources);
    let reviewed: Vec<&str> = REVIEWED.lines().collect();
    assert_eq!(reviewed.len(), N_REVIEWED);
    let changed: Vec<&String> = now.iter().filter(|line| !reviewed.contains(&line.as_str())).collect();
    assert!(
        changed.is_empty(),
        "these are shown otherwise: {changed:#?}\nlook at them: cargo test --test it formulas::print -- --ignored --nocapture"
    );
}

/// Prints the texts to be looked at, their formulas first, and writes the fingerprints that
/// `tests/it/formulas/reviewed.txt` holds once somebody has looked.
#[test]
#[ignore = "prints texts for a person to look at"]
fn print_the_texts_for_review() {
    let Some(sources) = sources() else { return };
    for source in chosen(&sources) {
        println!("\n{}", source.name);
        for formula in formulas(&source.text) {
            println!("  {formula} -> {}", tex::to_html(formula, &[], ("", "")));
        }
        let text = tex::to_text(&source.text);
        println!("= {}", text.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("reviewed.txt");
    fs::write(&path, fingerprints(&sources).join("\n") + "\n").unwrap();
    println!("\nfingerprints: {}", path.display());
}

/// Spread evenly over all.
fn chosen(sources: &[Source]) -> impl Iterator<Item = &Source> {
    (0..N_REVIEWED).map(|index| &sources[index * sources.len() / N_REVIEWED])
}

fn fingerprints(sources: &[Source]) -> Vec<String> {
    chosen(sources)
        .map(|source| {
            let shown = format!(
                "{}\n{}",
                tex::to_text(&source.text),
                tex::to_html(&source.text, &[], ("", ""))
            );
            let mut line = format!("{} ", source.name);
            for byte in &digest(&SHA256, shown.as_bytes()).as_ref()[..8] {
                write!(line, "{byte:02x}").unwrap();
            }
            line
        })
        .collect()
}
