//! Judgements written by hand about recorded papers, against the matcher.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::{
    Matcher,
    fixture::{SHARED, corpus, paper},
};
use crate::model::{Paper, Term};

/// The rule: who writes DARTS in capitals, alone or with more around it, is kept.
const METHOD: &str = "the search method by its name in capitals";

/// Rows of the seed's section DARTS that are kept.
const DARTS_KEPT: [(&str, &str); 36] = [
    ("2312.12648", METHOD),
    ("2006.09042", METHOD),
    ("2010.08360", METHOD),
    ("1909.06035", "DARTS+ is named beside DARTS"),
    ("2112.13023", METHOD),
    ("2108.08128", METHOD),
    ("2107.11500", "a sign of the title was lost in the page; DARTS is left"),
    ("2108.09996", METHOD),
    ("2301.01286", METHOD),
    ("2210.07998", "a sign of the title was lost in the page; DARTS is left"),
    ("2106.11655", METHOD),
    ("2009.09209", METHOD),
    ("2108.11014", "iDARTS is another word, DARTS is named beside it"),
    ("2108.09306", METHOD),
    ("2409.14432", METHOD),
    ("2409.14433", METHOD),
    ("2011.09300", METHOD),
    ("2509.12048", "a trading system, but its name is Hi-DARTS in capitals"),
    ("2409.11652", METHOD),
    ("1912.10952", METHOD),
    ("2503.06092", METHOD),
    ("1910.11831", METHOD),
    ("2211.10105", METHOD),
    ("2205.06355", METHOD),
    ("2005.07029", METHOD),
    ("1907.05737", METHOD),
    ("2306.06858", METHOD),
    ("2009.01027", "DARTS- is named beside DARTS"),
    ("2108.06859", METHOD),
    ("1912.12814", METHOD),
    ("2301.06393", METHOD),
    ("2504.20079", METHOD),
    ("2209.10381", "DARTSRepair is another word, DARTS is named beside it"),
    ("2309.00664", "ICDARTS is another word, DARTS is named beside it"),
    ("1911.12126", METHOD),
    ("2510.14336", METHOD),
];

/// Rows of the seed's section DARTS that are dropped.
const DARTS_DROPPED: [(&str, &str); 38] = [
    ("1808.09170", "DART in the singular"),
    ("1302.3917", "k-d darts, lines that sample"),
    ("2504.20422", "a graph of this shape"),
    ("2402.07602", "DART, a small car"),
    ("2410.08159", "DART, a transformer"),
    ("1803.05673", "the game"),
    ("1211.6195", "time-darts, a data structure"),
    ("2007.02871", "DART, and DARTs with a small s"),
    ("1703.09327", "DART, an imitation learner"),
    ("cs/9810001", "Dart, a person"),
    ("2412.11517", "DART, a detector"),
    ("1710.10800", "DART, a descriptor"),
    ("1505.01866", "DART, regression trees"),
    ("2506.11752", "DART, a distillation"),
    ("2411.02214", "DART, a platform for robots"),
    ("2105.09880", "the game"),
    ("2011.11031", "the game"),
    ("2505.18337", "DART cubed, an adaptation"),
    ("2506.05556", "DART-Vetter, a tool"),
    ("2403.03896", "DART, radar"),
    ("2506.10390", "DART, a tokenizer"),
    ("2105.00693", "on the method, but it writes Darts"),
    ("2110.03224", "Darts, a library for time series"),
    ("2010.04141", "DART, an annotation tool"),
    ("2510.18475", "DART, a dataset"),
    ("2402.11120", "DART, an adaptation"),
    ("2407.13690", "DART-Math, a tuning"),
    ("2011.07687", "DART, a bandit"),
    ("2403.06950", "DART, a program for pictures of the eye"),
    ("1607.02795", "DART, buoys"),
    ("2511.01170", "DART, a truncation"),
    ("2302.10750", "the game"),
    ("2104.02868", "on the method, but it writes Darts"),
    ("2508.05585", "DART, a transfer"),
    ("1408.1118", "spoke-darts, lines that sample"),
    ("1209.2512", "a graph of this shape"),
    ("1805.11158", "Dart, a network protocol"),
    ("2411.09022", "DART-LLM, robots"),
];

/// Rows of the seed's section NAS that are dropped: all others are on the search for architectures and write NAS.
const NAS_DROPPED: [(&str, &str); 1] = [("2507.12690", "NA-DiD is a word with NA, not with NAS")];

#[test]
fn the_seeds_noise_is_dropped_and_nothing_else() {
    let Ok(page) = fs::read_to_string(format!("{SHARED}/seed/daily-papers.md")) else {
        println!("skipped: ../shared is absent");
        return;
    };
    let darts = rows(&page, "DARTS");
    let judged: BTreeSet<&str> = DARTS_KEPT.iter().chain(&DARTS_DROPPED).map(|(id, _)| *id).collect();
    let present: BTreeSet<&str> = darts.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(judged, present, "every row is judged");
    let dropped = |table: &[(&str, &str)], id: &str| {
        table
            .iter()
            .find(|(other, _)| *other == id)
            .map(|(_, why)| (*why).to_owned())
    };
    let mut score = Score::default();
    for (id, paper) in &darts {
        score.count("DARTS", id, paper, dropped(&DARTS_DROPPED, id));
    }
    score.assert_perfect("DARTS");
    let mut score = Score::default();
    let nas = rows(&page, "NAS");
    for (id, paper) in &nas {
        score.count("NAS", id, paper, dropped(&NAS_DROPPED, id));
    }
    score.assert_perfect("NAS");
    assert!(
        NAS_DROPPED
            .iter()
            .all(|(id, _)| nas.iter().any(|(other, _)| other == id))
    );
}

/// The rows of one section as papers.
fn rows(page: &str, section: &str) -> Vec<(String, Paper)> {
    let head = format!("## {section}\n");
    let text = &page[page.find(&head).unwrap() + head.len()..];
    let text = text.split("\n## ").next().unwrap();
    text.lines()
        .filter_map(|row| {
            let (title, rest) = row.strip_prefix("| **[")?.split_once("](https://arxiv.org/pdf/")?;
            let (id, rest) = rest.split_once(")**")?;
            let abstract_text = rest.split_once("<p>")?.1.split_once("</p>")?.0;
            Some((id.rsplit_once('v')?.0.to_owned(), paper(title, abstract_text)))
        })
        .collect()
}

/// Words that hold the letters of a keyword, judged one by one. A paper is kept when it has a kept word; words that
/// are not listed are judged to be other words (`exploration` for LoRA, `vital` for ViT).
const KEPT_WORDS: [(&str, &[(&str, &str)]); 6] = [
    ("RAG", &[("RAG", "itself"), ("RAGs", "the plural")]),
    ("GNN", &[("GNN", "itself"), ("GNNs", "the plural")]),
    (
        "MoE",
        &[
            ("MoE", "itself"),
            ("MoEs", "the plural"),
            ("Moe", "not in capitals, so case is free: a name now and then"),
        ],
    ),
    (
        "LoRA",
        &[
            ("LoRA", "itself"),
            ("LoRAs", "the plural"),
            ("LORA", "not in capitals, so case is free"),
        ],
    ),
    (
        "ViT",
        &[
            ("ViT", "itself"),
            ("ViTs", "the plural"),
            ("VIT", "not in capitals, so case is free"),
            ("VITS", "case is free for the plural too"),
        ],
    ),
    (
        "agent",
        &[
            ("agent", "itself"),
            ("agents", "the plural"),
            ("Agent", "at the beginning"),
            ("Agents", "at the beginning"),
            ("AGENTS", "case is free"),
        ],
    ),
];

#[test]
fn recorded_papers_are_kept_for_the_words_that_were_judged() {
    let Some(papers) = corpus() else { return };
    for (keyword, kept) in KEPT_WORDS {
        let mut score = Score::default();
        for paper in &papers {
            let text = format!("{} {}", paper.title, paper.abstract_text);
            if !text.to_lowercase().contains(&keyword.to_lowercase()) {
                continue;
            }
            let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric()).collect();
            let is_kept = kept.iter().any(|(word, _)| words.contains(word));
            let why = (!is_kept).then(|| "the letters stand in other words only".to_owned());
            score.count(keyword, &paper.id.to_string(), paper, why);
        }
        score.assert_perfect(keyword);
    }
}

/// Two hundred recorded papers, half of them chosen because they write the keyword and half because their letters come
/// in other words, each judged by its own words before the matcher read it: keyword, identifier, judgement, reason.
const ROWS: &str = include_str!("judged/rows.tsv");

#[test]
fn two_hundred_recorded_papers_are_judged_as_by_hand() {
    let Some(papers) = corpus() else { return };
    let papers: BTreeMap<String, Paper> = papers.into_iter().map(|paper| (paper.id.to_string(), paper)).collect();
    let rows: Vec<Vec<&str>> = ROWS.lines().skip(1).map(|row| row.split('\t').collect()).collect();
    assert_eq!(rows.len(), 200);
    let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
    for row in &rows {
        let [keyword, id, judgement, reason] = row[..] else {
            panic!("a row has four fields: {row:?}");
        };
        let dropped = match judgement {
            "kept" => None,
            "dropped" => Some(reason.to_owned()),
            other => panic!("{id}: {other:?} is no judgement"),
        };
        assert!(!reason.is_empty(), "{id} is judged without a reason");
        scores
            .entry(keyword)
            .or_default()
            .count(keyword, id, &papers[id], dropped);
    }
    for (keyword, score) in scores {
        score.assert_perfect(keyword);
    }
}

/// How the matcher agrees with the judgements.
#[derive(Debug, Default)]
struct Score {
    n_right: usize,
    n_dropped: usize,
    wrong: BTreeMap<String, String>,
    n_false: usize,
    n_missed: usize,
}

impl Score {
    /// Compares one paper; `dropped` says why it was judged to be none.
    fn count(&mut self, keyword: &str, id: &str, paper: &Paper, dropped: Option<String>) {
        let found = Matcher::new(&[Term::phrase(keyword)]).unwrap().find(paper);
        match (found.is_empty(), dropped) {
            (false, None) => self.n_right += 1,
            (true, Some(_)) => self.n_dropped += 1,
            (false, Some(why)) => {
                self.n_false += 1;
                self.wrong
                    .insert(id.to_owned(), format!("found, judged: {why}; {}", paper.title));
            }
            (true, None) => {
                self.n_missed += 1;
                self.wrong.insert(id.to_owned(), format!("missed: {}", paper.title));
            }
        }
    }

    fn assert_perfect(&self, keyword: &str) {
        let share = |n: usize, of: usize| if of == 0 { 1.0 } else { n as f64 / of as f64 };
        println!(
            "{keyword}: {} kept, {} dropped; precision {:.3}, recall {:.3}",
            self.n_right,
            self.n_dropped,
            share(self.n_right, self.n_right + self.n_false),
            share(self.n_right, self.n_right + self.n_missed)
        );
        assert!(self.wrong.is_empty(), "{keyword}: {:#?}", self.wrong);
    }
}
