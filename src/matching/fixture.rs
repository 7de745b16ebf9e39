//! Papers for tests.

use std::fs;

use serde::Deserialize;

use crate::model::{Author, Paper};

/// An invented paper.
pub(crate) fn paper(title: &str, abstract_text: &str) -> Paper {
    Paper {
        id: "2603.00001".parse().unwrap(),
        version: 1,
        title: title.to_owned(),
        authors: vec![Author::named("Jane Doe"), Author::named("Adrián Del Maestro")],
        abstract_text: abstract_text.to_owned(),
        submitted: None,
        updated: None,
        categories: vec!["cs.LG".to_owned(), "stat.ML".to_owned()],
        comment: Some("Accepted at CVPR, 9 pages".to_owned()),
        journal_ref: Some("Example Letters 12 (2026)".to_owned()),
        doi: None,
        withdrawn: false,
    }
}

#[derive(Deserialize)]
struct Row {
    id: String,
    title: String,
    #[serde(rename = "abstract")]
    abstract_text: Option<String>,
    authors: Vec<String>,
    categories: Vec<String>,
    comment: Option<String>,
    journal_ref: Option<String>,
}

/// Where the recorded data lies.
pub(crate) const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared");

/// The recorded papers; `None`, with the reason printed, where the data is absent.
pub(crate) fn corpus() -> Option<Vec<Paper>> {
    let Ok(lines) = fs::read_to_string(format!("{SHARED}/arxiv/corpus.jsonl")) else {
        println!("skipped: ../shared is absent");
        return None;
    };
    let papers = lines.lines().map(|line| {
        let row: Row = serde_json::from_str(line).unwrap();
        Paper {
            id: row.id.parse().unwrap(),
            title: row.title,
            authors: row.authors.into_iter().map(Author::named).collect(),
            abstract_text: row.abstract_text.unwrap_or_default(),
            categories: row.categories,
            comment: row.comment,
            journal_ref: row.journal_ref,
            ..paper("", "")
        }
    });
    Some(papers.collect())
}

/// Runs a Python script in `../shared/sim` with one argument line per input; `None`, with the reason printed,
/// where Python or the data is absent.
pub(crate) fn python(script: &str, input: &str) -> Option<String> {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };
    if !fs::exists(format!("{SHARED}/sim/arxiv_sim.py")).unwrap_or(false) {
        println!("skipped: ../shared is absent");
        return None;
    }
    let child = Command::new("python3")
        .args(["-c", script])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(format!("{SHARED}/sim"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("skipped: python3 is absent");
        return None;
    };
    // Dropped at once, so that the script sees the end of its input.
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the script failed");
    Some(String::from_utf8(output.stdout).unwrap())
}
