//! A state that is damaged or gone: the latest export and its journal take its place, and nothing is lost or comes twice.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _, path::PathBuf};

use paperround::admin::{self, Command};

use crate::harness::{
    app::{Mail, Setup, TestApp, files_below, sorted},
    papers::{Paper, paper},
    program::{self, Ended},
    smtp::{Act, At, Script},
};

const ANA: &str = "ana@example.net";
const BO: &str = "bo@example.net";
const OPERATOR: &str = "ops@example.org";
const GNN: &str = "graph neural network";

fn graphs(n: usize) -> Vec<Paper> {
    (0..n)
        .map(|i| paper(&format!("A graph neural network, part {i}")))
        .collect()
}

async fn ana_and_bo() -> TestApp {
    Setup::new()
        .subscriber(ANA, &[GNN])
        .subscriber(BO, &[GNN])
        .section(&format!("[report]\nto = [\"{OPERATOR}\"]"))
        .start()
        .await
}

async fn run(app: &TestApp, now: &str) -> Ended {
    app.it_is(now);
    program::run(&app.config_path(), &["run", "--now", now]).await
}

fn state_dir(app: &TestApp) -> PathBuf {
    app.path("state")
}

/// Leaves the first bytes of the file that holds everything, as a file system may after a power cut.
fn break_state(app: &TestApp) {
    let db = state_dir(app).join("store/db");
    let file = std::fs::OpenOptions::new().write(true).open(db).expect("it is there");
    file.set_len(300).expect("it can be cut");
}

/// Nobody got a paper in two different mails; copies of one mail are the same bytes; everyone has all papers.
fn each_has_all_once(app: &TestApp, ids: &[String]) {
    for who in [ANA, BO] {
        let mails = by_message_id(app, who);
        let papers = sorted(mails.values().flat_map(Mail::papers));
        assert_eq!(papers, sorted(ids.iter().cloned()), "{who}");
    }
}

fn by_message_id(app: &TestApp, who: &str) -> BTreeMap<String, Mail> {
    let mut mails = BTreeMap::new();
    for mail in app.mails().into_iter().filter(|mail| mail.to == who) {
        let first = mails.entry(mail.message_id.clone()).or_insert_with(|| mail.clone());
        assert_eq!(first.bytes, mail.bytes, "a copy differs from the first mail");
    }
    mails
}

fn names_of(app: &TestApp, prefix: &str) -> Vec<String> {
    let entries = std::fs::read_dir(state_dir(app)).expect("the folder is there");
    sorted(
        entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with(prefix)),
    )
}

/// CASES 112, 135: damage that shows at the start.
#[tokio::test]
async fn a_damaged_state_is_restored_and_no_paper_comes_twice_or_is_lost() {
    let mut app = ana_and_bo().await;
    let mut ids = app.announce("2026-02-09", graphs(3));
    assert_eq!(run(&app, "2026-02-10T07:00:00Z").await.code, Some(0));
    ids.extend(app.announce("2026-02-10", graphs(2)));
    assert_eq!(run(&app, "2026-02-11T07:00:00Z").await.code, Some(0));
    // Announced and sent after the export of that morning.
    ids.extend(app.arxiv.add_now(graphs(2)));
    assert_eq!(run(&app, "2026-02-11T11:00:00Z").await.code, Some(0));
    let stopped = program::run(&app.config_path(), &["suppression", "add", BO]).await;
    assert_eq!(stopped.code, Some(0), "{}", stopped.err);
    let n_before = app.mails().len();
    break_state(&app);
    let restored = run(&app, "2026-02-11T12:00:00Z").await;
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    assert!(
        restored
            .err
            .contains("was restored from the export of 2026-02-11 07:00 UTC"),
        "{}",
        restored.err
    );
    let new: Vec<Mail> = app.mails().split_off(n_before);
    assert_eq!(
        new.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(),
        [OPERATOR],
        "{new:?}"
    );
    assert!(new[0].text.contains("restored from the export"), "{}", new[0].text);
    assert_eq!(names_of(&app, "corrupt-").len(), 1, "set aside, not deleted");
    let program = app.build().await;
    let status = admin::execute(&program, &Command::Status { json: false }).await.output;
    assert!(status.contains("restored from the export"), "{status}");
    drop(program);
    app.end_process();
    // Who has left since the export stays away.
    ids.extend(app.announce("2026-02-11", graphs(1)));
    assert_eq!(run(&app, "2026-02-12T07:00:00Z").await.code, Some(0));
    let listed = program::run(&app.config_path(), &["suppression", "list"]).await;
    assert!(listed.out.contains(BO), "{}", listed.out);
    let back = program::run(&app.config_path(), &["suppression", "remove", BO]).await;
    assert_eq!(back.code, Some(0), "{}", back.err);
    assert_eq!(run(&app, "2026-02-12T08:00:00Z").await.code, Some(0));
    each_has_all_once(&app, &ids);
}

#[tokio::test]
async fn a_state_that_is_gone_does_not_begin_anew_beside_its_exports() {
    let app = ana_and_bo().await;
    let mut ids = app.announce("2026-02-09", graphs(3));
    assert_eq!(run(&app, "2026-02-10T07:00:00Z").await.code, Some(0));
    // Within the first hour there is only the export of the empty state, and its journal.
    std::fs::remove_dir_all(state_dir(&app).join("store")).expect("it can be removed");
    ids.extend(app.arxiv.add_now(graphs(1)));
    let restored = run(&app, "2026-02-10T08:00:00Z").await;
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    assert!(
        restored.err.contains("there was no state, but exports of one"),
        "{}",
        restored.err
    );
    each_has_all_once(&app, &ids);
    ids.extend(app.announce("2026-02-10", graphs(2)));
    assert_eq!(run(&app, "2026-02-11T07:00:00Z").await.code, Some(0));
    each_has_all_once(&app, &ids);
}

/// CASES 135.
#[tokio::test]
async fn what_the_relay_may_have_when_the_state_is_damaged_comes_again_as_the_same_mail() {
    let app = ana_and_bo().await;
    let mut ids = app.announce("2026-02-09", graphs(3));
    assert_eq!(run(&app, "2026-02-10T07:00:00Z").await.code, Some(0));
    ids.extend(app.announce("2026-02-10", graphs(2)));
    // Both attempts of the run: the relay keeps the mail and says nothing.
    app.smtp
        .behaves(Script::default().fault_times(At::Dot, 4, Act::KeepAndClose));
    assert_eq!(run(&app, "2026-02-11T07:00:00Z").await.code, Some(75));
    break_state(&app);
    let restored = run(&app, "2026-02-11T08:00:00Z").await;
    assert!(restored.err.contains("2 are unconfirmed"), "{}", restored.err);
    let later = run(&app, "2026-02-12T08:00:00Z").await;
    assert_eq!(later.code, Some(0), "{}", later.err);
    each_has_all_once(&app, &ids);
}

/// Who is paused stays paused, and who takes a pause back gets mail, whatever the export of that morning says.
#[tokio::test]
async fn pauses_made_or_taken_back_since_the_export_outlive_the_state() {
    let app = ana_and_bo().await;
    let subscriber = async |action: &[&str]| {
        let arguments = [&["subscriber"], action].concat();
        let done = program::run(&app.config_path(), &arguments).await;
        assert_eq!(done.code, Some(0), "{}", done.err);
        done.out
    };
    subscriber(&["pause", BO, "--until", "2031-01-01"]).await;
    app.announce("2026-02-09", graphs(1));
    assert_eq!(run(&app, "2026-02-10T07:00:00Z").await.code, Some(0));
    subscriber(&["resume", BO]).await;
    subscriber(&["pause", ANA, "--until", "2031-02-01"]).await;
    let n_before = app.mails().len();
    break_state(&app);
    app.announce("2026-02-10", graphs(1));
    let restored = run(&app, "2026-02-11T07:00:00Z").await;
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    assert!(
        restored.err.contains("was restored from the export"),
        "{}",
        restored.err
    );
    let to: Vec<String> = app
        .mails()
        .split_off(n_before)
        .into_iter()
        .map(|mail| mail.to)
        .collect();
    assert!(to.contains(&BO.to_owned()) && !to.contains(&ANA.to_owned()), "{to:?}");
    let listed = subscriber(&["list"]).await;
    assert!(
        listed.contains("2031-02-01") && !listed.contains("2031-01-01"),
        "{listed}"
    );
}

#[tokio::test]
async fn a_damaged_export_gives_way_to_the_one_before_and_none_at_all_to_the_operator() {
    let app = ana_and_bo().await;
    let mut ids = app.announce("2026-02-09", graphs(3));
    for (evening, morning) in [
        ("2026-02-10", "11"),
        ("2026-02-11", "12"),
        ("2026-02-12", "13"),
        ("2026-02-15", "16"),
    ] {
        ids.extend(app.announce(evening, graphs(1)));
        assert_eq!(run(&app, &format!("2026-02-{morning}T07:00:00Z")).await.code, Some(0));
    }
    let exports: Vec<PathBuf> = files_below(&state_dir(&app).join("exports")).into_keys().collect();
    assert_eq!(exports.len(), 6, "three, each with its journal: {exports:?}");
    for path in &exports {
        let mode = std::fs::metadata(path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    let newest = state_dir(&app).join("exports/state-000004.jsonl");
    let text = std::fs::read_to_string(&newest).expect("it is text");
    std::fs::write(&newest, text.replace("graph", "grapf")).expect("it can be written");
    break_state(&app);
    // A dry run changes nothing and says what is wrong.
    let out = app.path("out");
    let out = out.to_str().expect("the path is text");
    app.it_is("2026-02-16T08:00:00Z");
    let dry = program::run(
        &app.config_path(),
        &["run", "--now", "2026-02-16T08:00:00Z", "--dry-run", "--out", out],
    )
    .await;
    assert_eq!(dry.code, Some(65), "{}", dry.err);
    assert_eq!(names_of(&app, "corrupt-"), Vec::<String>::new());
    assert_eq!(files_below(&state_dir(&app).join("exports")).len(), 6);
    let restored = run(&app, "2026-02-16T08:00:00Z").await;
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    assert!(
        restored.err.contains("from the export of 2026-02-13 07:00 UTC"),
        "{}",
        restored.err
    );
    each_has_all_once(&app, &ids);
    // Without any export that is whole nothing begins anew: a person decides.
    for path in files_below(&state_dir(&app).join("exports")).into_keys() {
        std::fs::write(path, "{}\n").expect("it can be written");
    }
    break_state(&app);
    let refused = run(&app, "2026-02-16T09:00:00Z").await;
    assert_eq!(refused.code, Some(65), "{}", refused.err);
    assert!(refused.err.contains("state import"), "{}", refused.err);
    assert!(state_dir(&app).join("store/db").exists());
    each_has_all_once(&app, &ids);
}
