//! What a digest of 20 papers costs, from the stored record to the bytes of its mail: one alone, and the same papers for
//! a thousand subscribers, for whom what they share is made once.
//!
//! `cargo bench --bench render` prints divan's table, then digests per second. With `PAPERROUND_BENCH_FEED` set to an
//! Atom file, its papers are used instead; `benches/beside_peer.py` does so to measure both sides on the same papers.

mod digests;
mod papers;

use std::{
    fs,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use divan::{Bencher, counter::ItemsCount};
use paperround::{
    arxiv::atom,
    mail::compose::{Composer, Papers},
    model::{DigestRecord, Paper},
};

use digests::{composer, record};

const N_PAPERS: usize = 20;
const N_SUBSCRIBERS: usize = 1_000;
/// How often the thousand are measured for the rate; the best counts.
const ROUNDS: usize = 5;

fn main() {
    divan::main();
    // `cargo test --benches` only wants to see that nothing breaks.
    if !std::env::args().any(|argument| argument == "--test") {
        rates();
    }
}

#[divan::bench(sample_count = 50)]
fn one_alone(bencher: Bencher<'_, '_>) {
    let day = Day::new();
    bencher
        .with_inputs(|| composer(false))
        .bench_local_refs(|composer| day.compose(composer, 0));
}

#[divan::bench(args = [false, true], sample_count = 5, sample_size = 1)]
fn a_thousand_of_the_same_papers(bencher: Bencher<'_, '_>, signed: bool) {
    let day = Day::new();
    bencher
        .counter(ItemsCount::new(N_SUBSCRIBERS))
        .with_inputs(|| composer(signed))
        .bench_local_refs(|composer| day.compose_all(composer));
}

/// The papers of one day, and everybody's digest of them.
struct Day {
    papers: Papers,
    records: Vec<DigestRecord>,
}

impl Day {
    fn new() -> Self {
        let papers: Vec<Paper> = match std::env::var("PAPERROUND_BENCH_FEED") {
            Ok(path) => {
                let feed = fs::read(&path).expect("PAPERROUND_BENCH_FEED names a file");
                atom::parse(&feed).expect("the file is an Atom feed of arXiv's").papers
            }
            Err(_) => papers::papers(N_PAPERS),
        };
        let records = (0..N_SUBSCRIBERS).map(|number| record(number, &papers)).collect();
        let papers = papers
            .into_iter()
            .map(|paper| (paper.versioned_id(), Arc::new(paper)))
            .collect();
        Self { papers, records }
    }

    fn compose(&self, composer: &Composer, number: usize) -> usize {
        let record = black_box(&self.records[number]);
        let mail = composer.compose(record, "<pr1.invented@example.org>", &self.papers);
        mail.expect("every paper is there and the templates are built in")
            .bytes
            .len()
    }

    /// The sizes of all mails together.
    fn compose_all(&self, composer: &Composer) -> usize {
        (0..self.records.len())
            .map(|number| self.compose(composer, number))
            .sum()
    }
}

impl Day {
    /// The same on several threads, as the couriers of a delivery do it.
    fn compose_all_on(&self, n_threads: usize, composer: &Composer) -> usize {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..n_threads)
                .map(|first| {
                    scope.spawn(move || {
                        let own = (first..self.records.len()).step_by(n_threads);
                        own.map(|number| self.compose(composer, number)).sum::<usize>()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("composing does not panic"))
                .sum()
        })
    }
}

fn rates() {
    let day = Day::new();
    let n_cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!();
    for n_threads in [1, n_cores] {
        let mut best = Duration::MAX;
        let mut n_bytes = 0;
        for _ in 0..ROUNDS {
            let composer = composer(false);
            let began = Instant::now();
            n_bytes = day.compose_all_on(n_threads, &composer);
            best = best.min(began.elapsed());
        }
        println!(
            "{:.0} digests of {} papers per second on {n_threads} threads, {} bytes each",
            N_SUBSCRIBERS as f64 / best.as_secs_f64(),
            day.papers.len(),
            n_bytes / N_SUBSCRIBERS
        );
    }
}
