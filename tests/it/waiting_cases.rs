//! How long a digest waits for what could not be fetched: turn by turn of the daemon, with a calendar that moves.

use chrono::{DateTime, TimeDelta, Utc};
use paperround::{
    daemon::turn::{self, Memory},
    model::KeywordCoverage,
    store::{DocumentKind, documents},
};
use tokio_util::sync::CancellationToken;

use crate::harness::{
    app::{Setup, TestApp, sorted},
    arxiv::{Answer, status},
    papers::{instant, paper},
};

const ANA: &str = "ana@example.net";
const BO: &str = "bo@example.net";
const CY: &str = "cy@example.net";
const DEE: &str = "dee@example.net";

/// One turn of the daemon at that moment.
async fn turn(app: &mut TestApp, memory: &mut Memory, moment: &str) {
    app.it_is(moment);
    let program = app.build().await;
    let turned = turn::turn(&program, memory, &CancellationToken::new()).await;
    turned.expect("the store works");
}

/// A turn every half hour from one moment until just before another. Returns when the first mail came.
async fn turns(app: &mut TestApp, memory: &mut Memory, from: &str, until: &str) -> Option<DateTime<Utc>> {
    let (mut now, until, n_mails) = (instant(from), instant(until), app.mails().len());
    let mut first = None;
    while now < until {
        turn(app, memory, &now.to_rfc3339()).await;
        if app.mails().len() > n_mails {
            first = first.or(Some(now));
        }
        now += TimeDelta::minutes(30);
    }
    first
}

/// Searches with these words are refused, which is not worth another try in the same run, and so are the feeds.
fn fails(app: &TestApp, words: &'static str) {
    app.arxiv.answers(move |asked| {
        if asked.asks_for(words) || asked.query.is_empty() {
            status(400)
        } else {
            Answer::Ordinary
        }
    });
}

/// One who has had her first digest on Monday, 9 February 2026.
async fn ana_began() -> (TestApp, Memory) {
    let lines = ["keywords = [\"graph neural network\"]", "schedule = \"07:00\""];
    let setup = Setup::new().subscriber_with(ANA, &lines);
    let mut app = setup
        .arxiv("retry_budget", "\"1s\"")
        .digest("empty", "\"send\"")
        .start()
        .await;
    let mut memory = Memory::default();
    app.announce(
        "2026-02-08",
        (0..20).map(|n| paper(&format!("A graph neural network, part {n}"))),
    );
    turn(&mut app, &mut memory, "2026-02-09T06:50:00Z").await;
    turn(&mut app, &mut memory, "2026-02-09T07:00:00Z").await;
    assert_eq!(app.new_papers_of(ANA).len(), 20);
    (app, memory)
}

#[tokio::test]
async fn who_has_nothing_complete_waits_until_there_is_something_and_six_hours_at_most() {
    let (mut app, mut memory) = ana_began().await;
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    fails(&app, "neural");
    app.arxiv.take_log();
    turn(&mut app, &mut memory, "2026-02-10T06:50:00Z").await;
    // What failed is asked for again after half an hour, and not before.
    let n_asked = |app: &TestApp| app.arxiv.log().iter().filter(|asked| asked.asks_for("neural")).count();
    let n_first = n_asked(&app);
    turn(&mut app, &mut memory, "2026-02-10T07:19:00Z").await;
    assert_eq!(n_asked(&app), n_first);
    turn(&mut app, &mut memory, "2026-02-10T07:20:00Z").await;
    assert!(n_asked(&app) > n_first);
    let first = turns(&mut app, &mut memory, "2026-02-10T07:30:00Z", "2026-02-10T09:30:00Z").await;
    assert_eq!(first, None, "nothing is complete for her");
    app.arxiv.is_well();
    let first = turns(&mut app, &mut memory, "2026-02-10T09:30:00Z", "2026-02-11T00:00:00Z").await;
    assert_eq!(first, Some(instant("2026-02-10T09:30:00Z")));
    let mails = app.new_mails();
    assert_eq!(mails.len(), 1, "one digest for one slot");
    assert_eq!(mails[0].papers(), ids);

    // The next day it does not come back for so long.
    let ids = app.announce("2026-02-10", [paper("A graph neural network for crystals")]);
    fails(&app, "neural");
    let first = turns(&mut app, &mut memory, "2026-02-11T06:50:00Z", "2026-02-11T18:00:00Z").await;
    assert_eq!(
        first,
        Some(instant("2026-02-11T13:20:00Z")),
        "the first turn six hours after the slot"
    );
    let mails = app.new_mails();
    assert_eq!(mails.len(), 1, "and not again");
    let flat = mails[0].text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("not everything could be fetched"), "{flat}");
    app.arxiv.is_well();
    turns(&mut app, &mut memory, "2026-02-11T18:00:00Z", "2026-02-12T08:00:00Z").await;
    assert_eq!(app.new_papers_of(ANA), ids, "nothing was lost by it");
}

/// Half of what was known is gone at once: hard to believe, so the keyword waits for three answers over twelve hours. What
/// the answers hold does not.
#[tokio::test]
async fn what_is_only_hard_to_believe_is_believed_within_a_day_and_its_papers_do_not_wait_for_it() {
    let (mut app, mut memory) = ana_began().await;
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    for id in &app.papers_of(ANA)[..10] {
        app.arxiv.revise(id, |paper| {
            paper.version = 2;
            paper.title = "On molecules".to_owned();
        });
    }
    let incomplete = async |app: &mut TestApp| {
        let store = app.store().await;
        let coverage = documents::load_all::<KeywordCoverage>(&*store, DocumentKind::Coverage).await;
        let coverage = coverage.expect("the store reads");
        coverage
            .iter()
            .any(|(_, coverage)| coverage.value.incomplete_since.is_some())
    };
    let first = turns(&mut app, &mut memory, "2026-02-10T06:50:00Z", "2026-02-10T18:50:00Z").await;
    assert!(
        first.is_some_and(|first| first <= instant("2026-02-10T13:30:00Z")),
        "{first:?}"
    );
    assert_eq!(app.new_papers_of(ANA), ids);
    assert!(incomplete(&mut app).await);
    turns(&mut app, &mut memory, "2026-02-10T18:50:00Z", "2026-02-10T19:30:00Z").await;
    assert!(!incomplete(&mut app).await, "three answers over twelve hours agree");
    let ids = app.announce("2026-02-10", [paper("A graph neural network for crystals")]);
    turns(&mut app, &mut memory, "2026-02-11T06:50:00Z", "2026-02-11T08:00:00Z").await;
    assert_eq!(app.new_papers_of(ANA), ids);
}

/// What was missing turns out to hold nothing: no digest more, not even for who wants empty ones.
#[tokio::test]
async fn a_recovery_without_news_brings_no_extra_digest() {
    let lines = [
        "keywords = [\"graph neural network\", \"transformer\"]",
        "schedule = \"0 7 * * Mon\"",
    ];
    let setup = Setup::new()
        .arxiv("retry_budget", "\"1s\"")
        .digest("empty", "\"send\"")
        .subscriber_with(BO, &lines);
    let mut app = setup.start().await;
    let mut memory = Memory::default();
    for moment in ["2026-02-15T06:50:00Z", "2026-02-15T07:00:00Z"] {
        turn(&mut app, &mut memory, moment).await;
    }
    fails(&app, "transformer");
    for moment in ["2026-02-16T06:50:00Z", "2026-02-16T07:00:00Z"] {
        turn(&mut app, &mut memory, moment).await;
    }
    assert_eq!(app.new_mails().len(), 1);
    app.arxiv.is_well();
    app.arxiv.take_log();
    turn(&mut app, &mut memory, "2026-02-16T08:00:00Z").await;
    assert!(app.arxiv.log().iter().any(|asked| asked.asks_for("transformer")));
    assert_eq!(app.new_mails(), []);
}

/// Who was served while something was missing gets the rest at once if the next digest is more than 36 hours away.
#[tokio::test]
async fn what_is_recovered_comes_in_an_extra_digest_only_where_the_next_one_is_far() {
    // Monday, 16 February 2026; on Wednesday at seven Dee's next digest is due.
    for (recovery, expected) in [
        ("2026-02-16T18:50:00Z", &[BO, DEE][..]),
        ("2026-02-16T19:10:00Z", &[BO][..]),
    ] {
        let who = |schedule: &str| {
            [
                "keywords = [\"graph neural network\", \"transformer\"]".to_owned(),
                format!("schedule = \"{schedule}\""),
            ]
        };
        let mut setup = Setup::new().arxiv("retry_budget", "\"1s\"");
        for (email, schedule) in [(BO, "0 7 * * Mon"), (CY, "0 7 * * *"), (DEE, "0 7 * * Mon,Wed")] {
            let lines = who(schedule);
            setup = setup.subscriber_with(email, &[&lines[0], &lines[1]]);
        }
        let mut app = setup.start().await;
        let mut memory = Memory::default();
        for moment in ["2026-02-15T06:50:00Z", "2026-02-15T07:00:00Z"] {
            turn(&mut app, &mut memory, moment).await;
        }
        let graphs = app.announce("2026-02-15", [paper("A graph neural network")]);
        let transformers = app.announce("2026-02-15", [paper("A transformer")]);
        fails(&app, "transformer");
        for moment in ["2026-02-16T06:50:00Z", "2026-02-16T07:00:00Z"] {
            turn(&mut app, &mut memory, moment).await;
        }
        // Something is complete for each of them, so nobody waits.
        let mails = app.new_mails();
        let to = sorted(mails.iter().map(|mail| mail.to.clone()));
        assert_eq!(to, [BO, CY, DEE]);
        assert!(mails.iter().all(|mail| mail.papers() == graphs));
        turns(&mut app, &mut memory, "2026-02-16T07:30:00Z", "2026-02-16T18:20:00Z").await;
        assert_eq!(app.new_mails(), []);
        app.arxiv.is_well();
        turn(&mut app, &mut memory, recovery).await;
        let mails = app.new_mails();
        assert_eq!(sorted(mails.iter().map(|mail| mail.to.clone())), expected, "{recovery}");
        assert!(mails.iter().all(|mail| mail.papers() == transformers));
        // The others have it with their next one, and nobody twice.
        for moment in [
            "2026-02-17T06:50:00Z",
            "2026-02-17T07:00:00Z",
            "2026-02-18T06:50:00Z",
            "2026-02-18T07:00:00Z",
        ] {
            turn(&mut app, &mut memory, moment).await;
        }
        for email in [BO, CY, DEE] {
            assert_eq!(
                app.papers_of(email),
                sorted([graphs.clone(), transformers.clone()].concat()),
                "{email}"
            );
        }
    }
}
