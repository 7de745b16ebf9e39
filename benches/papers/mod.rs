//! What the benchmarks read: recorded papers where they are at hand, else invented ones of the same size.

use std::fs;

use paperround::model::{Author, Paper};
use serde::Deserialize;

#[derive(Deserialize)]
struct Row {
    id: String,
    version: u16,
    title: String,
    #[serde(rename = "abstract")]
    abstract_text: String,
    authors: Vec<String>,
    categories: Vec<String>,
    comment: Option<String>,
    published: String,
}

/// So many papers. Recorded ones are those of 2026, as in the feeds that other programs are measured with.
pub(crate) fn papers(n: usize) -> Vec<Paper> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/arxiv/corpus.jsonl");
    let recorded = fs::read_to_string(path).unwrap_or_default();
    let mut papers: Vec<Paper> = recorded.lines().filter_map(recorded_paper).collect();
    if papers.is_empty() {
        println!("../shared is absent: the papers are invented");
        papers.extend((0..n).map(invented_paper));
    }
    papers.into_iter().cycle().take(n).collect()
}

fn recorded_paper(line: &str) -> Option<Paper> {
    let row: Row = serde_json::from_str(line).expect("the recorded papers are JSON lines");
    (row.published.as_str() >= "2026").then(|| Paper {
        id: row.id.parse().expect("a recorded identifier"),
        version: row.version,
        title: row.title,
        authors: row.authors.into_iter().map(Author::named).collect(),
        abstract_text: row.abstract_text.split_whitespace().collect::<Vec<_>>().join(" "),
        submitted: row.published.parse().ok(),
        updated: None,
        categories: row.categories,
        comment: row.comment,
        journal_ref: None,
        doi: None,
        withdrawn: false,
    })
}

fn invented_paper(n: usize) -> Paper {
    let mut dice = Dice::new(n as u64);
    let mut words = |n: usize| -> String {
        let words: Vec<String> = (0..n)
            .map(|_| format!("{}w{}", ["", "re", "non-"][dice.roll(3)], dice.roll(5_000)))
            .collect();
        words.join(" ")
    };
    Paper {
        id: format!("2603.{n:05}").parse().expect("five digits"),
        version: 1,
        title: words(9),
        authors: vec![Author::named("Ana Example"), Author::named("Bo Example")],
        abstract_text: format!("{} $x^2$ {}.", words(90), words(90)),
        submitted: None,
        updated: None,
        categories: vec!["cs.LG".to_owned()],
        comment: Some("9 pages".to_owned()),
        journal_ref: None,
        doi: None,
        withdrawn: false,
    }
}

/// The same numbers in every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `n`.
    pub(crate) fn roll(&mut self, n: usize) -> usize {
        // xorshift64*, by Marsaglia and Vigna.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }
}
