//! The calendar: weekends, holidays, zones and slots neither lose a paper nor bring one twice.

use chrono::{NaiveDate, TimeDelta};
use paperround::{
    admin::{self, Command},
    model::Silence,
};

use crate::harness::{
    app::{Mail, Setup, TestApp, sorted},
    arxiv::{Answer, status},
    papers::{Paper, paper},
};

const ANA: &str = "ana@example.net";
const BO: &str = "bo@example.net";
const CY: &str = "cy@example.net";
const GNN: &str = "graph neural network";
const GNN_LINE: &str = r#"keywords = ["graph neural network"]"#;

async fn ana_reads(keywords: &[&str]) -> TestApp {
    Setup::new().subscriber(ANA, keywords).start().await
}

/// `n` papers on graph neural networks.
fn graphs(n: usize) -> Vec<Paper> {
    (0..n)
        .map(|i| paper(&format!("A graph neural network, part {i}")))
        .collect()
}

/// The mails with papers; a line that only says that the watch goes on is none.
fn digests(mails: Vec<Mail>) -> Vec<Mail> {
    mails.into_iter().filter(|mail| !mail.papers().is_empty()).collect()
}

/// CASES 55.
#[tokio::test]
async fn a_weekend_without_news_is_no_trouble_and_repeats_nothing() {
    let mut app = ana_reads(&[GNN]).await;
    let thursday = app.announce("2026-02-12", graphs(3));
    app.run_on("2026-02-13T08:00:00Z").await;
    assert_eq!(sorted(app.new_papers_of(ANA)), thursday);
    for day in ["2026-02-14", "2026-02-15", "2026-02-16"] {
        let report = app.run_on(&format!("{day}T08:00:00Z")).await;
        assert!(report.is_complete() && report.current, "{report:?}");
        assert_eq!((report.matched, report.queued), (0, 0), "{day}");
        assert_eq!(app.new_mails(), [], "{day}");
    }
    let friday = |n: u32| paper("A graph neural network").submitted(&format!("2026-02-13T{n}:30:00Z"));
    let monday = app.announce("2026-02-16", [friday(20), friday(22)].into_iter().chain(graphs(2)));
    assert!(app.run_on("2026-02-17T08:00:00Z").await.is_complete());
    assert_eq!(sorted(app.new_papers_of(ANA)), monday);
}

/// CASES 55. The four silences: each has its own words in the mail, in the report and in `status`.
#[tokio::test]
async fn each_silence_says_which_it_is() {
    let mut app = Setup::new()
        .subscriber(ANA, &["graph neural network"])
        .digest("empty", "\"send\"")
        .arxiv("retry_budget", "\"1s\"")
        .start()
        .await;
    for day in 8..=12 {
        app.announce(&format!("2026-02-{day:02}"), [paper("On molecules")]);
    }
    app.run_on("2026-02-10").await;
    let first = app.new_mails().remove(0).text;
    let first = first.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(first.contains("all was fetched, and nothing new matched"), "{first}");
    let check = async |app: &mut TestApp, moment: &str, silence: Silence, sentence: &str, words: &str| {
        let report = app.run_on(moment).await;
        assert_eq!(report.silence, Some(silence), "{moment}");
        let json = serde_json::to_value(&report).expect("a report is JSON");
        assert_eq!(
            json["silence"],
            serde_json::to_value(silence).expect("a word"),
            "{moment}"
        );
        let mails = app.new_mails();
        assert_eq!(mails.len(), 1, "{moment}");
        let flat = mails[0].text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(sentence), "{moment}: {flat}");
        assert!(flat.contains(words), "{moment}: {flat}");
        let program = app.build().await;
        let overview = admin::execute(&program, &Command::Status { json: false }).await.output;
        let latest = overview.lines().skip_while(|line| !line.contains("Latest runs")).nth(1);
        let words = words.replace("the last mail", "the fetch before");
        assert!(latest.is_some_and(|line| line.contains(&words)), "{moment}: {overview}");
    };
    check(
        &mut app,
        "2026-02-11",
        Silence::NothingMatched,
        "Nothing new has matched your keywords",
        "all was fetched, and nothing new matched",
    )
    .await;
    // Half an hour after the announcement no interface shows it.
    check(
        &mut app,
        "2026-02-12T01:30:00Z",
        Silence::NotYet,
        "arXiv does not show its latest announcement yet",
        "the latest announcement is not shown by arXiv yet",
    )
    .await;
    app.arxiv.answers(|asked| {
        if asked.is_search() {
            status(503)
        } else {
            Answer::Ordinary
        }
    });
    check(
        &mut app,
        "2026-02-12",
        Silence::FetchFailed,
        "not everything could be fetched",
        "not everything could be fetched",
    )
    .await;
    app.arxiv.is_well();
    app.run_on("2026-02-13").await;
    app.new_mails();
    // Saturday.
    check(
        &mut app,
        "2026-02-14",
        Silence::NoAnnouncement,
        "arXiv has made no announcement since the last mail",
        "no announcement since the last mail",
    )
    .await;
}

/// CASES 36. What arXiv's index has shown it has shown: that a later look at it brings nothing unsays no announcement.
#[tokio::test]
async fn an_announcement_that_was_seen_stays_so_when_a_later_look_fails() {
    let mut app = ana_reads(&[GNN]).await;
    assert!(app.run_on("2026-02-11").await.current);
    app.arxiv.answers(|asked| {
        if asked.is_canary() {
            status(404)
        } else {
            Answer::Ordinary
        }
    });
    let tuesdays = app.announce("2026-02-10", graphs(1));
    assert!(app.run_on("2026-02-11T14:00:00Z").await.current);
    let mails = app.new_mails();
    assert_eq!(mails[0].papers(), tuesdays);
    let flat = mails[0].text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("Announcement of Tue 10 Feb; 1 of 1 keyword"), "{flat}");
    // Those of the next days nobody has seen, whatever the searches bring.
    for (evening, morning) in [("2026-02-11", "2026-02-12"), ("2026-02-12", "2026-02-13")] {
        app.announce(evening, graphs(1));
        let report = app.run_on(morning).await;
        assert!(!report.current && report.announcements.is_empty(), "{report:?}");
        let mails = app.new_mails();
        let flat = mails[0].text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            flat.contains("Announcement of Tue 10 Feb, a later one has not been seen yet"),
            "{morning}: {flat}"
        );
    }
    // With the next look all of them have been seen, also by a mail that has nothing new.
    app.arxiv.is_well();
    app.reconfigure(|setup| setup.digest("empty", "\"send\""));
    let report = app.run_on("2026-02-13T14:00:00Z").await;
    let evenings: Vec<String> = report.announcements.iter().map(ToString::to_string).collect();
    assert_eq!(evenings, ["2026-02-11", "2026-02-12"]);
    assert_eq!(report.silence, Some(Silence::NothingMatched));
    let mails = app.new_mails();
    let flat = mails[0].text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flat.contains("Announcements of Wed 11 Feb to Thu 12 Feb; 1 of 1"),
        "{flat}"
    );
    assert!(flat.contains("all was fetched, and nothing new matched"), "{flat}");
    // An hour later the reader knows of them.
    app.run_on("2026-02-13T15:00:00Z").await;
    let mails = app.new_mails();
    let flat = mails[0].text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("Announcement of Thu 12 Feb; 1 of 1"), "{flat}");
    assert!(flat.contains("no announcement since the last mail"), "{flat}");
}

/// CASES 60. A digest that stands for a week names its announcements, and counts as new all that the reader never had.
#[tokio::test]
async fn a_weekly_digest_covers_the_announcements_of_a_week() {
    let weekly = ["keywords = [\"graph neural network\"]", "schedule = \"0 8 * * Mon\""];
    let mut app = Setup::new().subscriber_with(ANA, &weekly).start().await;
    for (evening, n) in [(1, 1), (2, 0), (3, 1), (4, 0), (5, 1), (8, 0)] {
        let other = paper("On molecules");
        app.announce(&format!("2026-02-{evening:02}"), graphs(n).into_iter().chain([other]));
    }
    for day in 1..=9 {
        app.run_due_on(&format!("2026-02-{day:02}T08:00:00Z")).await;
    }
    let mails = app.new_mails();
    let flat = |mail: &Mail| mail.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let last = flat(mails.last().expect("the second Monday brings two papers"));
    assert!(last.contains("Announcements of Mon 2 Feb to Sun 8 Feb"), "{last}");
    assert!(last.contains("3 fetched, 2 new, 1 already sent"), "{last}");
}

/// CASES 55. What is announced on Sunday evening comes on Monday.
#[tokio::test]
async fn sundays_announcement_comes_on_monday() {
    let mut app = ana_reads(&[GNN]).await;
    app.run_on("2026-02-13").await;
    let sunday = app.announce("2026-02-15", graphs(3));
    app.run_on("2026-02-15").await;
    assert_eq!(app.new_mails(), []);
    app.run_on("2026-02-16").await;
    assert_eq!(sorted(app.new_papers_of(ANA)), sunday);
}

/// CASES 57. Around midnight in UTC, over the change to summer time in the United States.
#[tokio::test]
async fn every_zone_gets_the_same_papers_and_its_own_date() {
    let mut app = Setup::new()
        .subscriber_with(ANA, &[GNN_LINE, r#"timezone = "Asia/Shanghai""#])
        .subscriber_with(BO, &[GNN_LINE, r#"timezone = "America/Los_Angeles""#])
        .subscriber_with(CY, &[GNN_LINE])
        .start()
        .await;
    app.run_on("2026-03-06T01:05:00Z").await;
    let mut ids = app.announce("2026-03-09", graphs(2));
    ids.extend(app.announce(
        "2026-03-10",
        [
            paper("A graph neural network of yesterday").submitted("2026-03-09T23:59:59Z"),
            paper("A graph neural network of today").submitted("2026-03-10T00:00:01Z"),
        ],
    ));
    for day in ["2026-03-10", "2026-03-11", "2026-03-12"] {
        app.run_on(&format!("{day}T01:05:00Z")).await;
    }
    for to in [ANA, BO, CY] {
        assert_eq!(app.papers_of(to), ids, "{to}");
    }
    // The mails of the last day, at 01:05 UTC of 12 March.
    let mails = app.mails();
    for (to, today) in [
        (ANA, "Thu 12 Mar 2026"),
        (BO, "Wed 11 Mar 2026"),
        (CY, "Thu 12 Mar 2026"),
    ] {
        let mail = mails.iter().rfind(|mail| mail.to == to).expect("everyone got a mail");
        assert!(mail.text.contains(today), "{to}: {}", mail.text);
        assert!(mail.html.contains(today), "{to}");
    }
}

/// CASES 58.
#[tokio::test]
async fn six_days_without_announcement_lose_nothing() {
    let mut app = ana_reads(&[GNN]).await;
    app.it_is("2025-12-22");
    let mut ids = app.announce("2025-12-22", graphs(2));
    assert!(app.run_on("2025-12-23").await.is_complete());
    ids.extend(app.announce(
        "2025-12-29",
        (23..=29).map(|day| paper("A graph neural network").submitted(&format!("2025-12-{day}T18:30:00Z"))),
    ));
    assert!(app.run_on("2025-12-30").await.is_complete());
    assert_eq!(app.papers_of(ANA), ids);
}

/// CASES 58.
#[tokio::test]
async fn a_gap_of_two_weeks_loses_nothing() {
    let mut app = ana_reads(&[GNN]).await;
    let mut ids = app.announce("2026-02-02", graphs(2));
    app.run_on("2026-02-03").await;
    app.end_process();
    for evening in [
        "2026-02-03",
        "2026-02-04",
        "2026-02-05",
        "2026-02-08",
        "2026-02-09",
        "2026-02-10",
        "2026-02-11",
        "2026-02-12",
        "2026-02-15",
        "2026-02-16",
    ] {
        ids.extend(app.announce(evening, graphs(2)));
    }
    let report = app.run_on("2026-02-17").await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.announcements.len(), 10, "{:?}", report.announcements);
    assert_eq!(digests(app.new_mails()).len(), 2, "one mail for each of two runs");
    assert_eq!(app.papers_of(ANA), ids);
}

/// CASES 59.
#[tokio::test]
async fn the_date_is_that_of_the_submission_not_of_identifier_or_fetch() {
    let mut app = ana_reads(&[GNN]).await;
    app.run_on("2026-03-30").await;
    let edge = Paper {
        id: "2604.00001".to_owned(),
        ..paper("A graph neural network at the month's edge").submitted("2026-03-31T19:00:00Z")
    };
    let ids = app.announce("2026-04-01", [edge]);
    for day in ["2026-04-01", "2026-04-02", "2026-04-03", "2026-04-06"] {
        assert!(app.run_on(day).await.is_complete());
    }
    let mails = digests(app.new_mails());
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].papers(), ids);
    for part in [&mails[0].text, &mails[0].html] {
        let part = part.replace('\u{a0}', " ");
        let line = part
            .lines()
            .find(|line| line.contains("cs.LG"))
            .expect("its line is there");
        assert!(line.contains("31 Mar") && !line.contains("Apr"), "{line}");
    }
}

/// CASES 60.
#[tokio::test]
async fn daily_and_weekly_subscribers_each_get_every_paper_once_in_their_own_rhythm() {
    let mut app = Setup::new()
        .subscriber_with(ANA, &[GNN_LINE, r#"schedule = "07:00""#])
        .subscriber_with(BO, &[GNN_LINE, r#"schedule = "Mon 07:00""#])
        .start()
        .await;
    app.run_due_on("2026-02-08T12:00:00Z").await;
    assert_eq!(app.new_mails(), []);
    let mut ids = Vec::new();
    let first: NaiveDate = "2026-02-09".parse().expect("a day");
    for n in 0..8 {
        let day = first + TimeDelta::days(n);
        let evening = (day - TimeDelta::days(1)).to_string();
        if !["2026-02-13", "2026-02-14"].contains(&evening.as_str()) {
            ids.extend(app.announce(&evening, graphs(2)));
        }
        assert!(app.run_due_on(&format!("{day}T07:00:05Z")).await.is_complete());
        // Between slots nothing goes out, whatever is new.
        let n_mails = app.mails().len();
        app.run_due_on(&format!("{day}T15:00:00Z")).await;
        assert_eq!(app.mails().len(), n_mails);
    }
    let mails = digests(app.mails());
    let n_of = |to: &str| mails.iter().filter(|mail| mail.to == to).count();
    assert_eq!((n_of(ANA), n_of(BO)), (6, 2));
    assert_eq!(app.papers_of(ANA), ids);
    assert_eq!(app.papers_of(BO), ids);
}

/// CASES 130.
#[tokio::test]
async fn slots_missed_while_the_machine_was_off_are_caught_up_once() {
    let mut app = Setup::new()
        .subscriber_with(ANA, &[GNN_LINE, r#"schedule = "08:00""#])
        .start()
        .await;
    app.run_due_on("2026-02-08T12:00:00Z").await;
    let mut ids = app.announce("2026-02-08", graphs(2));
    app.run_due_on("2026-02-09T08:00:00Z").await;
    assert_eq!(sorted(app.new_papers_of(ANA)), ids);
    app.end_process();
    for evening in ["2026-02-09", "2026-02-10", "2026-02-11"] {
        ids.extend(app.announce(evening, graphs(2)));
    }
    let report = app.run_due_on("2026-02-12T09:00:00Z").await;
    assert_eq!(
        report.slot.expect("a slot is caught up").at.to_rfc3339(),
        "2026-02-12T08:00:00+00:00"
    );
    assert_eq!(app.new_mails().len(), 1);
    assert_eq!(app.papers_of(ANA), ids);
    for moment in ["2026-02-12T09:10:00Z", "2026-02-12T20:00:00Z"] {
        assert_eq!(app.run_due_on(moment).await.slot, None);
        assert_eq!(app.new_mails(), []);
    }
    ids.extend(app.announce("2026-02-12", graphs(2)));
    app.run_due_on("2026-02-13T08:00:01Z").await;
    assert_eq!(app.new_mails().len(), 1);
    assert_eq!(app.papers_of(ANA), ids);
}
