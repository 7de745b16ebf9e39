//! Every recorded answer is read and compared with an independent reading of the same XML.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{atom, fields, oai, rss};
use crate::model::{Paper, VersionedId};

const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/arxiv");

/// Prints, per entry, the identifier, the title and the number of authors (`-` where they stand in one string).
const INDEPENDENT: &str = r#"
import sys, xml.etree.ElementTree as E
A, S, R = "{http://www.w3.org/2005/Atom}", "{http://purl.org/rss/1.0/}", "{http://www.openarchives.org/OAI/2.0/}"
fold = lambda s: " ".join((s or "").split())
root = E.parse(sys.argv[1]).getroot()
def local(e, name):
    return next((c for c in e.iter() if c.tag.split("}")[-1] == name), None)
for e in [e for e in root.iter() if e.tag in (A + "entry", S + "item", R + "record", "item")]:
    names = {A + "entry": "id", S + "item": "link", "item": "guid", R + "record": "id"}
    whole = lambda a: "".join(x.text or "" for x in a if x.tag.split("}")[-1] != "affiliation")
    # A lone ":" stands between a collaboration and its members.
    n = len([a for a in e.iter() if a.tag.split("}")[-1] == "author" and any(map(str.isalnum, whole(a)))])
    print(fold(local(e, names[e.tag]).text), fold(local(e, "title").text), n or "-", sep="\t")
"#;

fn recorded(folder: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(Path::new(SHARED).join(folder)) else {
        println!("skipped: ../shared is absent");
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn check(file: &Path, papers: &[Paper]) {
    let Ok(output) = Command::new("python3").args(["-c", INDEPENDENT]).arg(file).output() else {
        println!("skipped: python3 is absent");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = String::from_utf8(output.stdout).unwrap();
    let expected: Vec<Vec<&str>> = output.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(papers.len(), expected.len(), "{}", file.display());
    for (paper, line) in papers.iter().zip(expected) {
        let (id, version) = VersionedId::parse(line[0]).unwrap();
        assert_eq!(paper.id, id, "{}", file.display());
        assert!(version.is_none_or(|version| version == paper.version), "{id}");
        // The feeds before 2024 carry identifier and category in the title.
        let title = line[1].split(". (arXiv:").next().unwrap();
        assert_eq!(paper.title, title, "{id}");
        if let Ok(n_authors) = line[2].parse::<usize>() {
            assert_eq!(paper.authors.len(), n_authors, "{id}");
        }
        assert!(
            !paper.authors.is_empty() && !paper.categories.is_empty() && !paper.abstract_text.is_empty(),
            "{id}"
        );
    }
}

#[test]
fn every_recorded_api_answer_is_read_whole() {
    for file in ["api_2026", "api_legacy"].into_iter().flat_map(recorded) {
        let body = std::fs::read(&file).unwrap();
        let name = file.display().to_string();
        if name.contains("id_abc") || name.contains("error") {
            assert!(
                matches!(atom::parse(&body), Err(super::FeedError::ApiError { .. })),
                "{name}"
            );
            continue;
        }
        let feed = atom::parse(&body).unwrap();
        assert_eq!((&feed.rejected, &feed.mended), (&vec![], &vec![]), "{name}");
        assert!(
            feed.total_results.is_some() && feed.start_index.is_some() && feed.items_per_page.is_some(),
            "{name}"
        );
        assert!(
            feed.papers
                .iter()
                .all(|paper| paper.submitted.is_some() && paper.updated >= paper.submitted),
            "{name}"
        );
        check(&file, &feed.papers);
    }
}

#[test]
fn every_recorded_harvest_is_read_whole() {
    for file in recorded("oai") {
        let page = oai::parse(&std::fs::read(&file).unwrap()).unwrap();
        let name = file.display().to_string();
        assert_eq!(
            (&page.rejected, &page.mended, page.deleted.len()),
            (&vec![], &vec![], 0),
            "{name}"
        );
        assert!(
            page.response_date.is_some() && page.papers.iter().all(|paper| paper.updated.is_some()),
            "{name}"
        );
        assert_eq!(page.resumption_token.is_some(), name.contains("page"), "{name}");
        check(&file, &page.papers);
        for paper in page.papers.iter().filter(|_| name.contains("arXivRaw")) {
            assert!(
                paper.submitted.is_some() && paper.submitted <= paper.updated,
                "{}",
                paper.id
            );
            let is_whole = |text: &str| !text.is_empty() && text.matches('(').count() == text.matches(')').count();
            assert!(
                paper.authors.iter().all(|author| is_whole(&author.name)),
                "{} {:?}",
                paper.id,
                paper.authors
            );
        }
    }
}

#[test]
fn every_recorded_daily_feed_is_read_whole() {
    for file in recorded("rss") {
        let feed = rss::parse(&std::fs::read(&file).unwrap()).unwrap();
        let name = file.display().to_string();
        assert_eq!((&feed.rejected, &feed.mended), (&vec![], &vec![]), "{name}");
        assert!(
            feed.published.is_some() && feed.items.iter().all(|item| item.announce_type.is_some()),
            "{name}"
        );
        let papers: Vec<Paper> = feed.items.into_iter().map(|item| item.paper).collect();
        assert!(
            papers
                .iter()
                .all(|paper| !paper.abstract_text.contains("Announce Type")),
            "{name}"
        );
        check(&file, &papers);
    }
}

#[test]
fn recorded_withdrawals_and_announce_types_are_found() {
    let raw: Vec<Paper> = recorded("oai")
        .iter()
        .filter(|file| file.to_string_lossy().contains("arXivRaw"))
        .flat_map(|file| oai::parse(&std::fs::read(file).unwrap()).unwrap().papers)
        .collect();
    if raw.is_empty() {
        return;
    }
    let withdrawn = raw.iter().filter(|paper| paper.withdrawn).count();
    assert!((11..=16).contains(&withdrawn), "{withdrawn}");
    let multi = recorded("rss")
        .into_iter()
        .find(|file| file.to_string_lossy().contains("multi"))
        .unwrap();
    let feed = rss::parse(&std::fs::read(multi).unwrap()).unwrap();
    let types: Vec<_> = feed.items.iter().filter_map(|item| item.announce_type).collect();
    use rss::AnnounceType::{Cross, New, Replace};
    assert_eq!(types, [New, New, Cross, Replace]);
    assert_eq!(feed.built, fields::instant("2026-09-24T08:58:05Z"));
}

#[test]
fn a_cut_answer_is_never_a_whole_one() {
    // CASE 32: cut at every 997th byte, and with the bytes there replaced.
    type IsWhole = fn(&[u8]) -> bool;
    let parses: [(&str, &str, IsWhole); 3] = [
        ("api_2026/q_testing_s0_m100.xml", "</feed>", |body| {
            atom::parse(body).is_ok()
        }),
        ("oai/arXivRaw_ListRecords_2014_page47001.xml", "</OAI-PMH>", |body| {
            oai::parse(body).is_ok()
        }),
        ("rss/atom_cs_AI_2025-08-20_partly_synthetic.xml", "</feed>", |body| {
            rss::parse(body).is_ok()
        }),
    ];
    for (file, end, is_whole) in parses {
        let Ok(body) = std::fs::read(Path::new(SHARED).join(file)) else {
            println!("skipped: ../shared is absent");
            return;
        };
        let end = std::str::from_utf8(&body).unwrap().rfind(end).unwrap() + end.len();
        // The large harvest is cut at fewer places, so that the test stays quick.
        let step = if body.len() > 1_000_000 { 99_700 } else { 997 };
        for (n_cut, cut) in (0..end).step_by(step).chain([end - 1]).enumerate() {
            assert!(!is_whole(&body[..cut]), "{file} cut at {cut}");
            if n_cut % 32 != 0 {
                continue;
            }
            // Must not panic; what comes out is judged by the counts.
            for junk in [&b"\0<\xff&"[..], b"<entry>", b"]]>--></", b"&#x110000;"] {
                let mut damaged = body.clone();
                damaged.splice(cut..(cut + 8).min(body.len()), junk.iter().copied());
                is_whole(&damaged);
            }
        }
        assert!(is_whole(&body[..end]), "{file}");
    }
}
