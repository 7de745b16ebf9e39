//! What matching costs: all keywords in one pass over 2,000 papers, beside a bare scan of the same text.
//!
//! `cargo bench --bench matching` prints divan's table and then the two ratios that the matcher is held to: its time
//! over that of the bare scan with as many keywords, and over its own with 1,000 keywords. The automaton is built
//! once and kept, so building it stands apart.

mod papers;

use std::{
    collections::BTreeMap,
    hint::black_box,
    time::{Duration, Instant},
};

use aho_corasick::AhoCorasick;
use divan::{Bencher, counter::BytesCount};
use paperround::{
    matching::Matcher,
    model::{Paper, Term},
};
use papers::{Dice, papers};

const N_PAPERS: usize = 2_000;
const N_KEYWORDS: [usize; 4] = [10, 1_000, 10_000, 100_000];
/// How often each side is measured for the ratios; the best counts.
const ROUNDS: usize = 7;

fn main() {
    divan::main();
    // `cargo test --benches` only wants to see that nothing breaks.
    if !std::env::args().any(|argument| argument == "--test") {
        ratios();
    }
}

#[divan::bench(args = N_KEYWORDS, sample_count = 20, sample_size = 1)]
fn matcher(bencher: Bencher<'_, '_>, n_keywords: usize) {
    let papers = papers(N_PAPERS);
    let matcher = matcher_of(&keywords(&papers, n_keywords));
    bencher
        .counter(BytesCount::new(n_bytes(&papers)))
        .bench_local(|| match_all(&matcher, &papers));
}

#[divan::bench(args = N_KEYWORDS, sample_count = 20, sample_size = 1)]
fn bare_scan(bencher: Bencher<'_, '_>, n_keywords: usize) {
    let papers = papers(N_PAPERS);
    let automaton = automaton_of(&keywords(&papers, n_keywords));
    bencher
        .counter(BytesCount::new(n_bytes(&papers)))
        .bench_local(|| scan_all(&automaton, &papers));
}

#[divan::bench(args = N_KEYWORDS, sample_count = 3, sample_size = 1)]
fn building(bencher: Bencher<'_, '_>, n_keywords: usize) {
    let keywords = keywords(&papers(N_PAPERS), n_keywords);
    bencher.bench_local(|| matcher_of(&keywords));
}

/// Pairs of words that the papers use, each about as rare as a keyword that somebody would subscribe to; some stand
/// in the papers, most do not.
fn keywords(papers: &[Paper], n: usize) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for word in papers.iter().flat_map(|paper| paper.abstract_text.split_whitespace()) {
        if word.len() >= 5
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        {
            *counts.entry(word).or_default() += 1;
        }
    }
    let words: Vec<&str> = counts
        .into_iter()
        .filter(|(_, n)| *n > 2)
        .map(|(word, _)| word)
        .collect();
    let mut dice = Dice::new(1);
    (0..n)
        .map(|_| format!("{} {}", words[dice.roll(words.len())], words[dice.roll(words.len())]))
        .collect()
}

fn matcher_of(keywords: &[String]) -> Matcher {
    let terms: Vec<Term> = keywords.iter().map(Term::phrase).collect();
    Matcher::new(&terms).expect("pairs of words are keywords")
}

fn automaton_of(keywords: &[String]) -> AhoCorasick {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(keywords)
        .expect("few enough states")
}

fn match_all(matcher: &Matcher, papers: &[Paper]) -> usize {
    papers.iter().map(|paper| matcher.find(black_box(paper)).len()).sum()
}

fn scan_all(automaton: &AhoCorasick, papers: &[Paper]) -> usize {
    let texts = papers.iter().flat_map(|paper| [&paper.title, &paper.abstract_text]);
    texts
        .map(|text| automaton.find_overlapping_iter(black_box(text)).count())
        .sum()
}

/// Bytes of title and abstract.
fn n_bytes(papers: &[Paper]) -> usize {
    papers
        .iter()
        .map(|paper| paper.title.len() + paper.abstract_text.len())
        .sum()
}

fn ratios() {
    let papers = papers(N_PAPERS);
    let mut of_thousand = Duration::MAX;
    println!("\nkeywords    matched      bare  over bare  over 1,000");
    for n_keywords in N_KEYWORDS {
        let keywords = keywords(&papers, n_keywords);
        let (matcher, automaton) = (matcher_of(&keywords), automaton_of(&keywords));
        let matched = best(|| match_all(&matcher, &papers));
        let bare = best(|| scan_all(&automaton, &papers));
        if n_keywords == 1_000 {
            of_thousand = matched;
        }
        let over = |other: Duration| {
            if other == Duration::MAX {
                f64::NAN
            } else {
                matched.as_secs_f64() / other.as_secs_f64()
            }
        };
        println!(
            "{n_keywords:8}  {:6.1} ms  {:5.1} ms  {:9.2}  {:10.2}",
            matched.as_secs_f64() * 1e3,
            bare.as_secs_f64() * 1e3,
            over(bare),
            over(of_thousand),
        );
    }
}

fn best(work: impl Fn() -> usize) -> Duration {
    let once = || {
        let began = Instant::now();
        black_box(work());
        began.elapsed()
    };
    (0..ROUNDS).map(|_| once()).min().unwrap_or(Duration::MAX)
}
