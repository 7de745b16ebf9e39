//! Renders digests of recorded papers, to be looked at: `cargo run --example look`, then open `target/look/*.html`.
//!
//! The words are marked by a plain search, not by the matcher, so that the look can be judged by itself.

use std::{collections::HashMap, error::Error, fs, ops::Range, path::Path, sync::Arc};

use chrono::{DateTime, NaiveDate, Utc};
use paperround::{
    digest::{self, Input, Order, Pending},
    model::{
        Author, CoverageNote, DigestId, DigestKind, DigestRecord, IncompleteKeyword, Paper, Shown, SubscriberId, Term,
        VersionedId,
    },
    render::{ConfiguredLink, Marks, PersonalLinks, Renderer, Settings, Sources},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Recorded {
    id: String,
    version: u16,
    title: String,
    #[serde(rename = "abstract")]
    abstract_text: String,
    authors: Vec<String>,
    categories: Vec<String>,
    comment: Option<String>,
    journal_ref: Option<String>,
    doi: Option<String>,
    published: DateTime<Utc>,
    updated: DateTime<Utc>,
}

const KEYWORDS: [&str; 3] = ["graph neural network", "reinforcement learning", "retrieval-augmented"];

fn main() -> Result<(), Box<dyn Error>> {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/arxiv/corpus.jsonl");
    let Ok(corpus) = fs::read_to_string(corpus) else {
        println!("skipped: ../shared is absent");
        return Ok(());
    };
    let since: DateTime<Utc> = "2026-02-02T00:00:00Z".parse()?;
    let until: DateTime<Utc> = "2026-02-09T19:00:00Z".parse()?;
    let all: HashMap<VersionedId, Arc<Paper>> = corpus
        .lines()
        .filter_map(|line| serde_json::from_str::<Recorded>(line).ok())
        .filter_map(paper)
        .map(|paper| (paper.versioned_id(), Arc::new(paper)))
        .collect();
    let mut papers = all.clone();
    papers.retain(|_, paper| paper.submitted > Some(since) && paper.submitted < Some(until));
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/look");
    fs::create_dir_all(&out)?;
    write(&out, "digest", &papers, 5, Shown::Short, DigestKind::Digest)?;
    write(&out, "full", &papers, 5, Shown::Full, DigestKind::Digest)?;
    write(&out, "cut", &papers, 100, Shown::Full, DigestKind::Digest)?;
    // After a long silence: every tier, down to lines.
    write(&out, "busy", &all, 75, Shown::Full, DigestKind::Digest)?;
    write(&out, "quiet", &papers, 4, Shown::Short, DigestKind::Quiet)?;
    write(&out, "welcome", &papers, 1, Shown::Short, DigestKind::Welcome)?;
    Ok(())
}

fn paper(recorded: Recorded) -> Option<Paper> {
    Some(Paper {
        id: recorded.id.parse().ok()?,
        version: recorded.version,
        title: recorded.title,
        authors: recorded.authors.into_iter().map(Author::named).collect(),
        abstract_text: recorded.abstract_text.trim().to_owned(),
        submitted: Some(recorded.published),
        updated: Some(recorded.updated),
        categories: recorded.categories,
        comment: recorded.comment,
        journal_ref: recorded.journal_ref,
        doi: recorded.doi,
        withdrawn: false,
    })
}

fn write(
    out: &Path,
    name: &str,
    papers: &HashMap<VersionedId, Arc<Paper>>,
    papers_max: usize,
    shown: Shown,
    kind: DigestKind,
) -> Result<(), Box<dyn Error>> {
    let frozen_at: DateTime<Utc> = "2026-02-10T06:00:00Z".parse()?;
    let keywords: Vec<(String, Term)> = KEYWORDS
        .iter()
        .map(|name| ((*name).to_owned(), Term::phrase(*name)))
        .collect();
    let marks = |paper: &Arc<Paper>| Marks {
        title: found(&paper.title),
        abstract_text: found(&paper.abstract_text),
    };
    let mut pending: Vec<Pending<'_>> = papers
        .values()
        .map(|paper| Pending {
            paper,
            keywords: (0..)
                .zip(KEYWORDS)
                .filter(|(_, keyword)| {
                    format!("{} {}", paper.title, paper.abstract_text)
                        .to_lowercase()
                        .contains(keyword)
                })
                .map(|(index, _)| index)
                .collect(),
            waiting_since: frozen_at,
            in_title: !marks(paper).title.is_empty(),
            replaces: None,
            changes: None,
        })
        .filter(|pending| !pending.keywords.is_empty() && kind != DigestKind::Quiet)
        .collect();
    pending.sort_by_key(|pending| pending.paper.id.clone());
    for pending in pending
        .iter_mut()
        .rev()
        .skip(3)
        .step_by(40)
        .filter(|_| kind == DigestKind::Digest)
    {
        pending.replaces = Some((1, "2025-08-12T06:00:00Z".parse()?));
    }
    let draft = digest::assemble(&Input {
        keywords: &keywords,
        pending: &pending,
        previous_at: None,
        settings: digest::Settings {
            papers_max,
            order: Order::Newest,
            shown,
        },
    });
    let record = DigestRecord {
        id: DigestId {
            subscriber: SubscriberId("ana".into()),
            number: 12,
        },
        kind,
        address: "ana@example.net".to_owned(),
        name: None,
        frozen_at,
        zone: "Europe/Berlin".to_owned(),
        keywords,
        sections: draft.sections,
        coverage: CoverageNote {
            announcement: NaiveDate::from_ymd_opt(2026, 2, 9),
            current: true,
            n_complete: 2,
            n_keywords: 3,
            incomplete: vec![IncompleteKeyword {
                keyword: KEYWORDS[2].to_owned(),
                since: "2026-02-09T05:12:00Z".parse()?,
                why: "arXiv answered 503 three times".to_owned(),
            }],
            n_fetched: 41,
            n_new: 12,
            n_already_sent: 27,
            n_excluded: 2,
            ..CoverageNote::default()
        },
        shared: false,
    };
    let renderer = Renderer::new(Settings {
        links: vec![ConfiguredLink {
            name: "alphaXiv".to_owned(),
            url: "https://www.alphaxiv.org/abs/{id}".to_owned(),
        }],
        abstracts: shown,
        contact: Some("ops@example.org".to_owned()),
        public_url: Some("https://papers.example.org".to_owned()),
        ..Settings::default()
    })?;
    let sources = Sources {
        papers: &|id| papers.get(id).cloned(),
        marks: &marks,
    };
    let links = PersonalLinks {
        unsubscribe_url: Some("https://papers.example.org/u/bG9vaw".to_owned()),
        ..PersonalLinks::default()
    };
    let n_pending = record.papers().count();
    let started = std::time::Instant::now();
    let fitted = renderer.fit(record, &sources, &links)?;
    let rendered = renderer.render(&fitted.record, &sources, &links)?;
    println!(
        "{name}: {:?}, {} of {n_pending} papers, {} bytes of HTML as it travels, {:?}",
        rendered.subject,
        fitted.record.papers().count(),
        rendered.html.quoted_printable_len(),
        started.elapsed(),
    );
    fs::write(out.join(format!("{name}.html")), rendered.html.to_string())?;
    fs::write(out.join(format!("{name}.txt")), rendered.text.to_string())?;
    Ok(())
}

/// Where the keywords stand, in ASCII letters of any case.
fn found(text: &str) -> Vec<Range<usize>> {
    let lower = text.to_ascii_lowercase();
    KEYWORDS
        .iter()
        .flat_map(|keyword| lower.match_indices(keyword).map(|(at, hit)| at..at + hit.len()))
        .collect()
}
