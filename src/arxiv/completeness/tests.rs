//! Each rule of the proof refuses an answer that no other rule refuses.

use chrono::TimeDelta;

use super::{super::calendar, plausibility::aside, *};

const DAY: TimeDelta = TimeDelta::days(1);

fn now() -> DateTime<Utc> {
    "2026-03-11T07:00:00Z".parse().unwrap()
}

fn asked() -> Asked {
    Asked {
        from: now() - DAY * 45,
        to: now() + DAY,
        categories: Vec::new(),
    }
}

fn paper(number: u32, days_ago: i32) -> Paper {
    let id = ArxivId::from_parts(2026, 3, number).unwrap();
    Paper {
        title: id.to_string(),
        id,
        version: 1,
        authors: Vec::new(),
        abstract_text: String::new(),
        submitted: Some(now() - DAY * days_ago),
        updated: None,
        categories: vec!["cs.LG".to_owned()],
        comment: None,
        journal_ref: None,
        doi: None,
        withdrawn: false,
    }
}

fn feed(start: u64, total: u64, papers: impl IntoIterator<Item = Paper>) -> Feed {
    let papers: Vec<Paper> = papers.into_iter().collect();
    Feed {
        total_results: Some(total),
        start_index: Some(start),
        n_entries: papers.len(),
        papers,
        ..Feed::default()
    }
}

fn prove_all(feeds: &[(u64, Feed)], past: &KeywordCoverage) -> Proof {
    let pages: Vec<Page<'_>> = feeds.iter().map(|(start, feed)| Page { start: *start, feed }).collect();
    prove(&pages, &asked(), past, now())
}

fn why(proof: &Proof) -> Option<&Reason> {
    match &proof.verdict {
        Verdict::Complete => None,
        Verdict::Incomplete { why, .. } => Some(why),
    }
}

fn past(numbers: std::ops::Range<u32>) -> KeywordCoverage {
    let mut coverage = KeywordCoverage::default();
    let papers: Vec<Paper> = numbers.map(|number| paper(number, 3)).collect();
    complete(&mut coverage, &papers, now() - DAY, false);
    coverage
}

#[test]
fn pages_that_add_up_are_complete_whatever_their_order_and_overlap() {
    // CASES 24, 25, 26, 29, 54: unsorted, lower identifiers later, all pages, an exact multiple, an overlap.
    let first = feed(0, 4, [paper(54, 1), paper(9, 30)]);
    let second = feed(2, 4, [paper(21, 2), paper(1, 2)]);
    let proof = prove_all(&[(0, first.clone()), (2, second)], &KeywordCoverage::default());
    assert_eq!(proof.verdict, Verdict::Complete);
    assert_eq!(
        proof.papers.iter().map(|paper| paper.id.number()).collect::<Vec<_>>(),
        [1, 9, 21, 54]
    );
    let overlapping = feed(1, 3, [paper(9, 30), paper(21, 2)]);
    let first = Feed {
        total_results: Some(3),
        ..first
    };
    assert_eq!(
        prove_all(&[(0, first), (1, overlapping)], &KeywordCoverage::default())
            .papers
            .len(),
        3
    );
}

#[test]
fn holes_and_disagreeing_pages_are_never_complete() {
    let none = KeywordCoverage::default();
    let check = |feeds: &[(u64, Feed)], expected: Reason| {
        let proof = prove_all(feeds, &none);
        assert_eq!(
            proof.verdict,
            Verdict::Incomplete {
                why: expected,
                retry: true
            }
        );
    };
    check(&[], Reason::NoAnswer);
    // CASES 22 (c), 23: results are promised and none come, on the first page or a later one.
    check(&[(0, feed(0, 37, []))], Reason::Count { got: 0, total: 37 });
    check(
        &[(0, feed(0, 3, [paper(1, 1), paper(2, 1)])), (2, feed(2, 3, []))],
        Reason::Count { got: 2, total: 3 },
    );
    // A duplicate does not stand in for the one that is missing.
    check(
        &[
            (0, feed(0, 3, [paper(1, 1), paper(2, 1)])),
            (2, feed(2, 3, [paper(2, 1)])),
        ],
        Reason::Count { got: 2, total: 3 },
    );
    check(
        &[(0, feed(0, 1, [paper(1, 1), paper(2, 1)]))],
        Reason::Count { got: 2, total: 1 },
    );
    check(
        &[(0, feed(0, 2, [paper(1, 1)])), (1, feed(1, 3, [paper(2, 1)]))],
        Reason::TotalChanged { first: 2, then: 3 },
    );
    // CASE 27: the server answered another page.
    check(
        &[(0, feed(0, 2, [paper(1, 1)])), (1, feed(0, 2, [paper(2, 1)]))],
        Reason::WrongPage { start: 1, got: 0 },
    );
    check(&[(0, Feed::default())], Reason::NoCount { start: 0 });
    // The papers add up, but a page does not say what it is: it may be any other.
    let placeless = Feed {
        start_index: None,
        ..feed(0, 1, [paper(1, 1)])
    };
    check(&[(0, placeless)], Reason::NoCount { start: 0 });
    let countless = Feed {
        total_results: None,
        ..feed(1, 2, [paper(2, 1)])
    };
    check(
        &[(0, feed(0, 2, [paper(1, 1)])), (1, countless)],
        Reason::NoCount { start: 1 },
    );
    // All are there, and yet arXiv does not page so far: the next page would be an error.
    let broad = prove_all(
        &[(0, feed(0, 10_001, (1..=10_001).map(|number| paper(number, 1))))],
        &none,
    );
    assert_eq!(
        broad.verdict,
        Verdict::Incomplete {
            why: Reason::TooBroad { total: 10_001 },
            retry: false
        }
    );
    // So many because the dates were ignored: the next answer may be another.
    let papers = (1..=10_001).map(|number| paper(number, if number == 1 { 2_000 } else { 1 }));
    let ignored = prove_all(&[(0, feed(0, 10_001, papers))], &none);
    assert!(matches!(ignored.verdict, Verdict::Incomplete { retry: true, .. }));
}

#[test]
fn of_two_versions_in_one_answer_the_later_stays() {
    for versions in [[1, 2], [2, 1]] {
        let [first, second] = versions.map(|version| Paper { version, ..paper(1, 1) });
        let proof = prove_all(&[(0, feed(0, 1, [first, second]))], &KeywordCoverage::default());
        assert_eq!(proof.verdict, Verdict::Complete);
        assert_eq!(proof.papers.iter().map(|paper| paper.version).collect::<Vec<_>>(), [2]);
    }
}

#[test]
fn a_rejected_entry_does_not_keep_a_keyword_incomplete() {
    let mut feed = feed(0, 3, [paper(1, 1)]);
    for id in [Some("2603.00002".to_owned()), None] {
        feed.rejected.push(crate::arxiv::Rejected {
            id,
            why: "broken".to_owned(),
        });
    }
    assert_eq!(
        prove_all(&[(0, feed)], &KeywordCoverage::default()).verdict,
        Verdict::Complete
    );
}

#[test]
fn papers_that_were_not_asked_for_are_set_aside_and_asked_again() {
    // The range of dates was ignored (CASE 24: papers of 2020).
    let mut undated = paper(4, 0);
    undated.submitted = None;
    let proof = prove_all(
        &[(0, feed(0, 4, [paper(1, 1), paper(2, 2000), paper(3, -3), undated]))],
        &KeywordCoverage::default(),
    );
    assert_eq!(
        proof.verdict,
        Verdict::Incomplete {
            why: Reason::Implausible { n_papers: 2 },
            retry: true
        }
    );
    assert_eq!(
        proof.papers.iter().map(|paper| paper.id.number()).collect::<Vec<_>>(),
        [1, 4]
    );
    assert!(proof.set_aside.iter().all(|(_, why)| *why == Aside::Dates));
    // A day outside is believed.
    for days_ago in [46, -2] {
        let proof = prove_all(&[(0, feed(0, 1, [paper(1, days_ago)]))], &KeywordCoverage::default());
        assert_eq!(proof.verdict, Verdict::Complete, "{days_ago}");
    }
    // So is a paper whose categories are missing.
    let unfiled = Paper {
        categories: Vec::new(),
        ..paper(1, 1)
    };
    let in_learning = Asked {
        categories: vec!["cs.LG".to_owned()],
        ..asked()
    };
    assert_eq!(aside(&unfiled, &in_learning), None);
    let check = |pattern: &str, category: &str, expected: bool| {
        let asked = Asked {
            categories: vec![pattern.to_owned()],
            ..asked()
        };
        let paper = Paper {
            categories: vec![category.to_owned()],
            ..paper(1, 1)
        };
        assert_eq!(aside(&paper, &asked).is_none(), expected, "{pattern} {category}");
    };
    check("cs.*", "cs.LG", true);
    check("cs.*", "css.LG", false);
    check("cs.LG", "cs.AI", false);
    check("hep-th", "hep-th", true);
    check("math.*", "stat.TH", true);
    check("math.IT", "cs.IT", true);
    check("cs.L*", "cs.LG", true);
}

#[test]
fn a_zero_is_a_quiet_window_only_where_nothing_was_known() {
    // CASE 22 (b).
    assert_eq!(
        prove_all(&[(0, feed(0, 0, []))], &KeywordCoverage::default()).verdict,
        Verdict::Complete
    );
    let proof = prove_all(&[(0, feed(0, 0, []))], &past(1..4));
    assert_eq!(
        proof.verdict,
        Verdict::Incomplete {
            why: Reason::Zero { n_known: 3 },
            retry: true
        }
    );
    // So few that as many may vanish, if only others stay.
    assert_eq!(
        prove_all(&[(0, feed(0, 0, []))], &past(1..3)).verdict,
        Verdict::Incomplete {
            why: Reason::Zero { n_known: 2 },
            retry: true
        }
    );
    // What was known has left the window.
    let mut old = KeywordCoverage::default();
    complete(&mut old, &[paper(1, 60)], now() - DAY, true);
    assert_eq!(prove_all(&[(0, feed(0, 0, []))], &old).verdict, Verdict::Complete);
}

#[test]
fn a_few_papers_may_vanish_but_not_many() {
    let check = |n_known: u32, n_missing: u32, expected: bool| {
        let papers = (n_missing..n_known).map(|number| paper(number, 3));
        let proof = prove_all(
            &[(0, feed(0, u64::from(n_known - n_missing), papers))],
            &past(0..n_known),
        );
        assert_eq!(why(&proof).is_none(), expected, "{n_missing} of {n_known}");
    };
    check(10, 2, true);
    check(10, 3, false);
    check(100, 5, true);
    check(100, 6, false);
}

#[test]
fn an_unlikely_answer_is_believed_when_three_over_twelve_hours_agree() {
    let start = now();
    let run = |answers: &[(i64, Vec<Paper>)]| {
        let mut coverage = past(1..21);
        let mut verdicts = Vec::new();
        for (hours, papers) in answers {
            let feed = feed(0, papers.len() as u64, papers.clone());
            let at = start + TimeDelta::hours(*hours);
            let proof = prove(&[Page { start: 0, feed: &feed }], &asked(), &coverage, at);
            remember(&mut coverage, &proof, at, false);
            verdicts.push(proof.verdict == Verdict::Complete);
        }
        (verdicts, coverage)
    };
    let half = || (1..10).map(|number| paper(number, 3)).collect::<Vec<_>>();
    let (verdicts, coverage) = run(&[(0, half()), (6, half()), (11, half()), (12, half())]);
    assert_eq!(verdicts, [false, false, false, true]);
    assert_eq!(
        (
            coverage.window.len(),
            coverage.incomplete_since,
            coverage.agreeing.len()
        ),
        (9, None, 0)
    );
    // Two are not enough, and a different one begins the count again.
    assert_eq!(run(&[(0, half()), (24, half())]).0, [false, false]);
    assert_eq!(
        run(&[(0, half()), (6, vec![]), (12, half()), (18, half()), (24, half())]).0,
        [false, false, false, false, true]
    );
    assert_eq!(run(&[(0, vec![]), (6, vec![]), (12, vec![])]).0, [false, false, true]);
    // Papers announced in between do not spoil the agreement, not even where nothing else came.
    let announced = || (91..=99).map(|number| paper(number, 0));
    let more = || half().into_iter().chain(announced()).collect();
    assert_eq!(run(&[(0, half()), (6, half()), (12, more())]).0, [false, false, true]);
    let only = || announced().collect();
    assert_eq!(run(&[(0, vec![]), (6, vec![]), (12, only())]).0, [false, false, true]);
    // Nothing is no confirmation of little, though the difference is small.
    let two = || vec![paper(1, 3), paper(2, 3)];
    assert_eq!(run(&[(0, two()), (6, vec![]), (12, vec![])]).0, [false, false, false]);
    // Once enough have agreed, only time can tell: it is not asked again within the run.
    let mut coverage = past(1..21);
    let mut retries = Vec::new();
    for hour in [0, 6, 11] {
        let feed = feed(0, 9, half());
        let at = start + TimeDelta::hours(hour);
        let proof = prove(&[Page { start: 0, feed: &feed }], &asked(), &coverage, at);
        remember(&mut coverage, &proof, at, false);
        retries.push(matches!(proof.verdict, Verdict::Incomplete { retry: true, .. }));
    }
    assert_eq!(retries, [true, true, false]);
}

#[test]
fn the_memory_of_refused_answers_is_bounded_and_ends_with_a_complete_one() {
    let mut coverage = past(1..21);
    let empty = feed(0, 0, []);
    // A broken answer is no evidence, however often it comes.
    let broken = feed(0, 37, []);
    let answer = |coverage: &mut KeywordCoverage, feed: &Feed, minutes: i64| {
        let at = now() + TimeDelta::minutes(minutes);
        let proof = prove(&[Page { start: 0, feed }], &asked(), coverage, at);
        remember(coverage, &proof, at, false);
    };
    for minute in 0..10 {
        answer(&mut coverage, &broken, minute);
    }
    assert_eq!((coverage.agreeing.len(), coverage.refused.len()), (0, 0));
    // All within the twelve hours; the first one, from which they count, is kept.
    for minute in 0..300 {
        answer(&mut coverage, &empty, minute);
    }
    assert_eq!((coverage.agreeing.len(), coverage.agreeing[0]), (100, now()));
    answer(&mut coverage, &feed(0, 1, [paper(1, 3)]), 301);
    assert_eq!(coverage.refused.len(), 1);
    answer(&mut coverage, &feed(0, 20, (1..21).map(|number| paper(number, 3))), 302);
    assert_eq!((coverage.agreeing.len(), coverage.refused.len()), (0, 0));
}

#[test]
fn the_memory_keeps_when_and_why() {
    let mut coverage = past(1..4);
    incomplete(&mut coverage, &"HTTP 503", now());
    incomplete(&mut coverage, &Reason::Count { got: 1, total: 2 }, now() + DAY);
    assert_eq!(
        (coverage.incomplete_since, coverage.why.as_deref()),
        (Some(now()), Some("1 of 2 results came"))
    );
    assert_eq!(coverage.window.len(), 3);
    complete(&mut coverage, &[], now() + DAY, true);
    assert_eq!(
        (
            coverage.empty_answers,
            coverage.incomplete_since,
            coverage.why.as_deref()
        ),
        (1, None, None)
    );
    assert_eq!(
        (coverage.last_complete, coverage.last_deep),
        (Some(now() + DAY), Some(now() + DAY))
    );
}

#[test]
fn a_day_old_answer_is_not_fresh() {
    // CASES 36, 55. Wednesday 11 March 2026, 07:00 UTC: Tuesday's announcement is due; its window begins Monday 18:00 UTC.
    let expected = calendar::latest_expected(now());
    assert_eq!(expected.evening.to_string(), "2026-03-10");
    let last = Sighting {
        evening: expected.previous().evening,
        newest: paper(100, 0).id,
    };
    let at = |number: u32, at: &str| Paper {
        submitted: at.parse().ok(),
        ..paper(number, 0)
    };
    let check = |papers: &[Paper], last: Option<&Sighting>, expected_fresh: bool| {
        assert_eq!(fresh(papers, last, &expected), expected_fresh);
        assert_eq!(
            sighting(papers, last, &expected).is_some(),
            expected_fresh && last.is_none_or(|last| last.evening < expected.evening)
        );
    };
    check(
        &[at(120, "2026-03-09T20:00:00Z"), at(90, "2026-03-09T10:00:00Z")],
        Some(&last),
        true,
    );
    check(&[at(100, "2026-03-09T17:00:00Z")], Some(&last), false);
    // Submitted late enough, but announced by then: only the identifier tells.
    check(&[at(100, "2026-03-09T20:00:00Z")], Some(&last), false);
    // Newer than the last sighting, but of an announcement before the expected one.
    check(&[at(110, "2026-03-09T17:00:00Z")], Some(&last), false);
    check(&[at(110, "2026-03-09T19:00:00Z")], None, true);
    // Without dates the identifier decides.
    let undated = |number: u32| Paper {
        submitted: None,
        ..paper(number, 0)
    };
    check(&[undated(110)], Some(&last), true);
    check(&[undated(100)], Some(&last), false);
    check(&[], None, false);
    // Once sighted it stays so, and an older answer does not lower what was seen.
    for papers in [&[][..], &[at(90, "2026-03-09T10:00:00Z")]] {
        check(
            papers,
            Some(&Sighting {
                evening: expected.evening,
                ..last.clone()
            }),
            true,
        );
    }
    check(
        &[at(120, "2026-03-10T10:00:00Z")],
        Some(&Sighting {
            evening: expected.evening,
            ..last.clone()
        }),
        true,
    );
}

#[test]
fn papers_without_a_date_are_missed_by_no_later_answer() {
    let mut coverage = KeywordCoverage::default();
    let undated = (1..9).map(|number| Paper {
        submitted: None,
        ..paper(number, 3)
    });
    let papers: Vec<Paper> = undated.chain([paper(20, 3)]).collect();
    complete(&mut coverage, &papers, now() - DAY, false);
    let proof = prove_all(&[(0, feed(0, 1, [paper(20, 3)]))], &coverage);
    assert_eq!(proof.verdict, Verdict::Complete);
}
