//! What an answer of arXiv costs: 2,000 entries of Atom as papers, beside a loop that only reads quick-xml's events and
//! resolves their names.
//!
//! `cargo bench --bench parsing` prints divan's table and then the ratio. With `PAPERROUND_BENCH_FEED` set to an Atom
//! file, that is read instead; `benches/beside_peer.py` does so to measure both sides on the same answer.

mod papers;

use std::{
    fmt::Write as _,
    fs,
    hint::black_box,
    time::{Duration, Instant},
};

use divan::{Bencher, counter::BytesCount};
use paperround::{arxiv::atom, model::Paper};
use papers::papers;
use quick_xml::{NsReader, escape::escape, events::Event};

const N_ENTRIES: usize = 2_000;
/// How often each side is measured for the ratio; the best counts.
const ROUNDS: usize = 9;

fn main() {
    divan::main();
    // `cargo test --benches` only wants to see that nothing breaks.
    if !std::env::args().any(|argument| argument == "--test") {
        ratio();
    }
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn papers_of_an_answer(bencher: Bencher<'_, '_>) {
    let answer = answer();
    bencher
        .counter(BytesCount::of_slice(&answer))
        .bench_local(|| n_papers(&answer));
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn events_of_an_answer(bencher: Bencher<'_, '_>) {
    let answer = answer();
    bencher
        .counter(BytesCount::of_slice(&answer))
        .bench_local(|| n_events(&answer));
}

fn ratio() {
    let answer = answer();
    let parsing = best(|| n_papers(&answer));
    let reading = best(|| n_events(&answer));
    println!(
        "\n{} papers of {:.1} MB in {:.2} ms, {:.2} times a loop that only reads events",
        n_papers(&answer),
        answer.len() as f64 / 1e6,
        parsing.as_secs_f64() * 1e3,
        parsing.as_secs_f64() / reading.as_secs_f64()
    );
}

fn best(mut work: impl FnMut() -> usize) -> Duration {
    let round = |_| {
        let began = Instant::now();
        black_box(work());
        began.elapsed()
    };
    (0..ROUNDS).map(round).min().expect("there are rounds")
}

fn n_papers(answer: &[u8]) -> usize {
    atom::parse(answer).expect("the answer is whole").papers.len()
}

fn n_events(answer: &[u8]) -> usize {
    let mut reader = NsReader::from_reader(answer);
    let mut n_events = 0;
    loop {
        match black_box(reader.read_resolved_event().expect("the answer is well-formed")) {
            (_, Event::Eof) => return n_events,
            _ => n_events += 1,
        }
    }
}

fn answer() -> Vec<u8> {
    if let Some(path) = std::env::var_os("PAPERROUND_BENCH_FEED") {
        return fs::read(path).expect("PAPERROUND_BENCH_FEED names a file");
    }
    let mut feed = String::from(
        "<?xml version='1.0' encoding='UTF-8'?>\n<feed xmlns:opensearch=\"http://a9.com/-/spec/opensearch/1.1/\" \
         xmlns:arxiv=\"http://arxiv.org/schemas/atom\" xmlns=\"http://www.w3.org/2005/Atom\">\n",
    );
    papers(N_ENTRIES).iter().for_each(|paper| entry(&mut feed, paper));
    feed.push_str("</feed>\n");
    feed.into_bytes()
}

/// In the elements and order of the query API.
fn entry(feed: &mut String, paper: &Paper) {
    let id = format!("{}v{}", paper.id, paper.version);
    let date = paper.submitted.unwrap_or_default().to_rfc3339();
    write!(
        feed,
        "<entry>\n<id>http://arxiv.org/abs/{id}</id>\n<title>{}</title>\n<updated>{date}</updated>\n\
         <link href=\"https://arxiv.org/abs/{id}\" rel=\"alternate\" type=\"text/html\"/>\n\
         <link href=\"https://arxiv.org/pdf/{id}\" rel=\"related\" type=\"application/pdf\" title=\"pdf\"/>\n\
         <summary>{}</summary>\n<published>{date}</published>\n",
        escape(&paper.title),
        escape(&paper.abstract_text)
    )
    .expect("a string takes everything");
    for category in &paper.categories {
        feed.push_str(&format!("<category term=\"{}\"/>\n", escape(category)));
    }
    if let Some(comment) = &paper.comment {
        feed.push_str(&format!("<arxiv:comment>{}</arxiv:comment>\n", escape(comment)));
    }
    for author in &paper.authors {
        feed.push_str(&format!("<author>\n<name>{}</name>\n</author>\n", escape(&author.name)));
    }
    feed.push_str("</entry>\n");
}
