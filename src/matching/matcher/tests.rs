//! Keywords and queries against papers, one by one and all together.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::matching::fixture::{corpus, paper, python};

fn fits(term: &Term, paper: &Paper) -> bool {
    !Matcher::new(std::slice::from_ref(term)).unwrap().find(paper).is_empty()
}

#[test]
fn a_matcher_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Matcher>();
}

/// CASES 4, 6, 16.
#[test]
fn keywords_are_literal_phrases_in_title_or_abstract() {
    let check = |keyword: &str, title: &str, abstract_text: &str, expected: bool| {
        let paper = paper(title, abstract_text);
        assert_eq!(
            fits(&Term::phrase(keyword), &paper),
            expected,
            "{keyword:?} in {title:?}, {abstract_text:?}"
        );
    };
    check("ai alignment", "Alignment of optical fibres with AI", "", false);
    check("ai alignment", "On AI alignment", "", true);
    check("graph", "Something", "On graphs.", true);
    check("graph network", "Graph", "network", false);
    check("CVPR", "Something", "", false);
    check("objectivity", "Objective functions for object detection", "", false);
    check("AT Protocol", "Objective at protocol level", "", false);
    // Nothing in a phrase is query syntax.
    check("graph OR quantum", "Graph", "", false);
    check("graph OR quantum", "Graph OR quantum", "", true);
    check("NOT graph", "Quantum", "", false);
    check("ti:graph", "Graph", "", false);
    check("ti:graph", "ti:graph", "", true);
    check("gra*", "Graph", "", false);
    check("LLM agents (survey", "LLM agents (survey)", "", true);
    check("a/b?c", "on a/b?c", "", true);
    check("back\\slash", "back\\slash", "", true);
}

#[test]
fn queries_combine_fields_words_and_exclusions() {
    let check = |query: &str, title: &str, abstract_text: &str, expected: bool| {
        let paper = paper(title, abstract_text);
        assert_eq!(
            fits(&Term::query(query), &paper),
            expected,
            "{query:?} in {title:?}, {abstract_text:?}"
        );
    };
    let nas = "(\"neural architecture search\" OR NAS) AND NOT ti:storage";
    check(nas, "NAS for speech", "", true);
    check(nas, "NAS: network storage", "", false);
    check(nas, "NAS", "storage", true);
    check("graph AND speech", "Graphs", "speech", true);
    check("graph AND speech", "Graphs", "", false);
    check("ti:graph", "", "graph", false);
    check("abs:graph", "x", "graph", true);
    check("co:CVPR AND jr:\"example letters\"", "x", "", true);
    check("co:ICML", "ICML", "", false);
    check("au:\"Jane Doe\"", "x", "", true);
    check("au:\"del maestro\"", "x", "", true);
    check("au:Jane", "x", "", false);
    check("cat:cs.LG", "x", "", true);
    check("cat:stat", "x", "", true);
    check("cat:cs.CL OR quantum", "x", "", false);
    check("transform* AND NOT transformer", "Transforms", "", true);
    check("transform*", "a retransform", "", false);
    check("=Frechet", "Fréchet", "", false);
    check("=Fréchet", "A Fre\u{301}chet mean", "", true);
    check("=dart", "Darts", "", false);
    check("=dart", "a dart", "", true);
    check("deep NEAR/1 graph", "deep and graph", "", true);
    check("deep NEAR/1 graph", "graph of deep", "", true);
    check("deep NEAR/1 graph", "deep as any graph", "", false);
    check("deep NEAR/9 graph", "deep", "graph", false);
    check(
        "(deep OR wide) NEAR/1 \"graph network\"",
        "a wide old graph network",
        "",
        true,
    );
    check("graph NEAR/3 graph", "one graph", "", false);
    check("graph NEAR/3 graph", "a graph on a graph", "", true);
}

#[test]
fn one_category_answers_to_both_its_names() {
    let mut paper = paper("x", "");
    for (pattern, category) in [
        ("math.IT", "cs.IT"),
        ("cs.IT", "math.IT"),
        ("cs.*", "eess.SY"),
        ("math.MP", "math-ph"),
    ] {
        paper.categories = vec![category.to_owned()];
        assert!(
            fits(&Term::query(format!("cat:{pattern}")), &paper),
            "{pattern} {category}"
        );
    }
}

#[test]
fn stems_match_only_by_choice() {
    let paper = paper("Learned metrics", "");
    let mut term = Term::phrase("learning metric");
    assert!(!fits(&term, &paper));
    term.stemming = true;
    assert!(fits(&term, &paper));
    let found = &Matcher::new(&[term]).unwrap().find(&paper)[0];
    assert_eq!(found.title.first(), Some(&(0..15)));
    assert_eq!(found.title.len(), 1);
}

#[test]
fn what_was_found_is_marked_once_and_in_order() {
    let paper = paper("Graph Fréchet graphs", "A graph-\nneural network; no Speech");
    let terms = [
        Term::query("graph OR \"graph neural network\" OR Frechet"),
        Term::phrase("speech"),
        Term::phrase("absent"),
        Term::phrase("speech"),
        Term::query("graph AND NOT absent"),
        Term::author("Doe"),
    ];
    let found = Matcher::new(&terms).unwrap().find(&paper);
    let indexes: Vec<usize> = found.iter().map(|found| found.term).collect();
    assert_eq!(indexes, [0, 1, 3, 4, 5]);
    let marked = |ranges: &[Range<usize>], text: &str| -> Vec<String> {
        ranges.iter().map(|range| text[range.clone()].to_owned()).collect()
    };
    assert_eq!(marked(&found[0].title, &paper.title), ["Graph", "Fréchet", "graphs"]);
    assert_eq!(
        marked(&found[0].abstract_text, &paper.abstract_text),
        ["graph-\nneural network"]
    );
    assert_eq!(marked(&found[2].abstract_text, &paper.abstract_text), ["Speech"]);
    assert_eq!(marked(&found[3].title, &paper.title), ["Graph", "graphs"]);
    assert_eq!(found[4].authors, [0]);
}

#[test]
fn every_wrong_term_is_named() {
    let terms = [Term::phrase("fine"), Term::query("("), Term::phrase("?!")];
    let errors = Matcher::new(&terms).unwrap_err();
    assert_eq!(errors.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2]);
    assert!(Matcher::new(&[]).unwrap().find(&paper("x", "y")).is_empty());
}

#[test]
fn ten_thousand_terms_cost_little_more_than_one() {
    let terms: Vec<Term> = (0..10_000)
        .map(|n| Term::phrase(format!("invented term {n}x")))
        .collect();
    let matcher = Matcher::new(&terms).unwrap();
    let paper = paper("An invented term 77x", "and nothing else");
    let found = matcher.find(&paper);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].term, 77);
    // Only what was found was looked at.
    assert_eq!(Sought::new(&matcher, &paper).candidates.len(), 1);
}

const KEYWORDS: [&str; 31] = [
    "graph neural network",
    "RAG",
    "reinforcement learning",
    "multi-agent",
    "large language model",
    "diffusion model",
    "GNN",
    "federated learning",
    "chain of thought",
    "hallucination",
    "a phrase that no abstract contains",
    "LLMs",
    "NAS",
    "GANs",
    "state-of-the-art",
    "self-supervised learning",
    "Schrodinger",
    "Poincaré",
    "k-means",
    "zero-shot",
    "AI",
    "GPT-4o",
    "black hole",
    "dark matter",
    "quantum",
    "transformer",
    "attention",
    "the",
    "Monte Carlo",
    "C++",
    "fine-tuning",
];

/// The judge of the replays says what must match (a plain reading) and what may match (a loose one).
#[test]
fn what_surely_matches_is_found_and_nothing_else_than_what_perhaps_does() {
    let script = "
import sys, json, functools
sys.path.insert(0, '.')
import replay
replay.plain = functools.lru_cache(None)(replay.plain)
replay.bare = functools.lru_cache(None)(replay.bare)
papers = [json.loads(l) for l in open('../arxiv/corpus.jsonl', encoding='utf-8')]
for k in sys.stdin.read().split('\\n'):
    for judge in (replay.surely, replay.perhaps):
        print(json.dumps([d['id'] for d in papers if any(judge(k, t) for t in (d['title'], d['abstract'] or ''))]))
";
    let Some(corpus) = corpus() else { return };
    let mut keywords: Vec<String> = KEYWORDS.map(str::to_owned).to_vec();
    // What people would copy from a title.
    keywords.extend(corpus.iter().step_by(190).map(|paper| {
        let words: Vec<&str> = paper.title.split_whitespace().take(2).collect();
        words.join(" ")
    }));
    let terms: Vec<Term> = keywords.iter().map(Term::phrase).collect();
    let Some(verdicts) = python(script, &keywords.join("\n")) else {
        return;
    };
    let mut verdicts = verdicts
        .lines()
        .map(|line| serde_json::from_str::<BTreeSet<String>>(line).unwrap());
    let matcher = Matcher::new(&terms).unwrap();
    let mut found = vec![BTreeSet::new(); keywords.len()];
    for paper in &corpus {
        for hit in matcher.find(paper) {
            found[hit.term].insert(paper.id.to_string());
            for (ranges, text) in [(&hit.title, &paper.title), (&hit.abstract_text, &paper.abstract_text)] {
                assert!(
                    ranges
                        .iter()
                        .all(|range| text.get(range.clone()).is_some_and(|piece| !piece.is_empty()))
                );
                assert!(ranges.is_sorted_by(|a, b| a.end <= b.start));
            }
        }
    }
    for (keyword, found) in keywords.iter().zip(found) {
        let (surely, perhaps) = (verdicts.next().unwrap(), verdicts.next().unwrap());
        let lost: Vec<_> = surely.difference(&found).collect();
        let foreign: Vec<_> = found.difference(&perhaps).collect();
        assert!(lost.is_empty(), "{keyword:?} is surely in {lost:?}");
        assert!(foreign.is_empty(), "{keyword:?} is not even perhaps in {foreign:?}");
    }
}

/// Keywords of every kind, with signs, capitals, scripts and forms that are easily cut in the middle.
fn awkward_matcher() -> Matcher {
    let mut terms: Vec<Term> = KEYWORDS.map(Term::phrase).to_vec();
    terms.extend(
        [
            "C++", "F#", ".NET", "ß", "模型", "한국", "e\u{301}", "ﬁ", "'s", "a", "x y", "$k$",
        ]
        .map(Term::phrase),
    );
    terms.extend(["au:\"a b\"", "a NEAR/2 b", "=é", "abc* OR NOT b AND a", "co:a OR jr:b"].map(Term::query));
    terms.push(Term {
        stemming: true,
        ..Term::phrase("learned graphs")
    });
    Matcher::new(
        &terms
            .into_iter()
            .filter(|term| expression(term).is_ok())
            .collect::<Vec<_>>(),
    )
    .unwrap()
}

/// Normaliser and matcher together.
#[test]
fn a_hundred_thousand_random_texts_are_read_without_panic() {
    const PIECES: [&str; 34] = [
        "a ", "A", "\\", "$", "{", "}", "-", "^{", "_{", "ß", "ﬁ", "\u{301}", "模型", "한", "²", "C++", "'", "``",
        "NAS", "s ", "graph ", "GANs", "\u{200b}", "\u{a0}", "--", "\n", "İ", "ǆ", "learned ", "x-y", "\"", "~", "k",
        " ",
    ];
    let matcher = awkward_matcher();
    let mut n_found = 0;
    for text in crate::tex::tests::random_texts(&PIECES) {
        let paper = paper("A title", &text);
        for found in matcher.find(&paper) {
            n_found += 1;
            let ranges = &found.abstract_text;
            assert!(ranges.iter().all(|range| text.get(range.clone()).is_some()), "{text:?}");
            assert!(ranges.is_sorted_by(|a, b| a.end <= b.start), "{text:?}");
        }
    }
    assert!(n_found > 10_000, "{n_found}");
}

proptest! {
    #[test]
    fn a_keyword_fits_its_own_text(
        keyword in "[A-Za-z0-9é.+#&/'_-]{0,8}( [A-Za-z0-9ßα,-]{1,6}){0,3}",
        before in "(x )?[ \t\n.,;:!?()\\[\\]\"/—-]{0,4}",
        after in "[ \t\n.,;:!?()\\[\\]\"/—-]{0,4}( x)?|'s",
    ) {
        let term = Term::phrase(&keyword);
        prop_assume!(expression(&term).is_ok());
        let text = format!("{before}{keyword}{after}");
        prop_assert!(fits(&term, &paper(&text, "")), "{:?} in {:?}", keyword, text);
    }

    #[test]
    fn no_keyword_makes_the_matcher_panic(title in "\\PC{0,40}", text in ".{0,80}", keyword in "\\PC{1,10}") {
        let terms = [Term::phrase(&keyword), Term::author(&keyword), Term { stemming: true, ..Term::phrase(&keyword) }];
        let terms: Vec<Term> = terms.into_iter().filter(|term| expression(term).is_ok()).collect();
        let paper = paper(&title, &text);
        for found in Matcher::new(&terms).unwrap().find(&paper) {
            prop_assert!(found.title.iter().all(|range| paper.title.get(range.clone()).is_some()));
            prop_assert!(found.abstract_text.iter().all(|range| paper.abstract_text.get(range.clone()).is_some()));
        }
    }
}
