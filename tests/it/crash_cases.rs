//! What a process that is killed, or that finds no room, leaves behind.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::harness::{
    app::{Mail, Setup, files_below},
    papers::paper,
    program,
};

const PEOPLE: [&str; 5] = [
    "ana@example.net",
    "bo@example.net",
    "cy@example.net",
    "dai@example.net",
    "eva@example.net",
];
const DAYS: [(&str, &str); 5] = [
    ("2026-02-08", "2026-02-09"),
    ("2026-02-09", "2026-02-10"),
    ("2026-02-10", "2026-02-11"),
    ("2026-02-11", "2026-02-12"),
    ("2026-02-12", "2026-02-13"),
];
/// A run takes about a tenth of a second here; later kills would meet nobody.
const LATEST_KILL_MS: u64 = 90;
/// Together a hundred.
const KILLS_PER_DAY: u64 = 20;

/// CASES 112, 135.
#[tokio::test]
async fn check_25_kill_9_at_random_moments_changes_nothing() {
    let setup = PEOPLE.iter().fold(Setup::new(), |setup, who| {
        setup.subscriber(who, &["graph neural network"])
    });
    let app = setup.start().await;
    let (mut announced, mut n_killed) = (Vec::new(), 0);
    // A fixed sequence, so that a failure can be repeated as far as the machine allows.
    let mut chance = 0x2545_f491_u64;
    for (evening, morning) in DAYS {
        announced.extend(app.announce(
            evening,
            (1..=4).map(|n| paper(&format!("A graph neural network, part {n} of {evening}"))),
        ));
        app.it_is(morning);
        let now = format!("{morning}T07:00:00Z");
        for n in 0..KILLS_PER_DAY {
            // Something new each time, so that each run has something to lose.
            announced.extend(
                app.arxiv
                    .add_now([paper(&format!("A graph neural network, late note {n} of {evening}"))]),
            );
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let victim = program::Serving::start(&app.config_path(), &["run", "--now", &now]);
            tokio::time::sleep(Duration::from_millis(3 + (chance >> 33) % LATEST_KILL_MS)).await;
            n_killed += u32::from(victim.kill().await);
        }
        let ended = program::run(&app.config_path(), &["run", "--now", &now]).await;
        assert!(matches!(ended.code, Some(0 | 75)), "{:?}\n{}", ended.code, ended.err);
    }
    assert!(n_killed >= 50, "only {n_killed} of 100 were caught alive");
    let mut by_person: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let mut bytes_of: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for accepted in app.smtp.accepted() {
        let mail = Mail::read(&accepted);
        let message_id = mail.message_id.clone();
        for id in mail.papers() {
            by_person
                .entry((mail.to.clone(), id))
                .or_default()
                .insert(message_id.clone());
        }
        let first = bytes_of.entry(message_id).or_insert_with(|| accepted.bytes.clone());
        assert_eq!(*first, accepted.bytes, "a copy differs from the first mail");
    }
    for who in PEOPLE {
        for id in &announced {
            let mails = by_person.get(&(who.to_owned(), id.clone()));
            assert_eq!(mails.map(BTreeSet::len), Some(1), "{id} for {who}");
        }
    }
}

/// CASES 120. With an empty environment, from the root folder, as all tests of the program.
#[tokio::test]
async fn a_dry_run_leaves_the_state_as_it_was() {
    let app = Setup::new()
        .subscriber(PEOPLE[0], &["graph neural network"])
        .start()
        .await;
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.it_is("2026-02-10");
    let out = app.path("out");
    let out = out.to_str().expect("the path is text");
    let dry = program::run(
        &app.config_path(),
        &["run", "--now", "2026-02-10T07:00:00Z", "--dry-run", "--out", out],
    )
    .await;
    assert_eq!(dry.code, Some(0), "{}", dry.err);
    assert_eq!(app.mails(), []);
    let names: Vec<String> = files_below(out.as_ref())
        .keys()
        .map(|path| path.display().to_string())
        .collect();
    for extension in [".eml", ".html", ".txt"] {
        assert!(names.iter().any(|name| name.ends_with(extension)), "{names:?}");
    }
    let shown = |files: &BTreeMap<std::path::PathBuf, Vec<u8>>| -> Vec<String> {
        let eml = |path: &std::path::Path| path.extension().is_some_and(|extension| extension == "eml");
        let mails = files.iter().filter(|(path, _)| eml(path));
        mails
            .flat_map(|(_, bytes)| Mail::parse(bytes, PEOPLE[0]).papers())
            .collect()
    };
    assert_eq!(shown(&files_below(out.as_ref())), ids);
    let real = program::run(&app.config_path(), &["run", "--now", "2026-02-10T07:00:00Z"]).await;
    assert_eq!(real.code, Some(0), "{}", real.err);
    assert_eq!(app.papers_of(PEOPLE[0]), ids);
    // Also on a state that has a past: twice dry and once in earnest are the same papers.
    let second = app.announce("2026-02-10", [paper("A graph neural network for crystals")]);
    let now = "2026-02-11T07:00:00Z";
    app.it_is(now);
    for name in ["again", "and-again"] {
        let out = app.path(name);
        let arguments = ["run", "--now", now, "--dry-run", "--out", out.to_str().expect("text")];
        let dry = program::run(&app.config_path(), &arguments).await;
        assert_eq!(dry.code, Some(0), "{}", dry.err);
        assert_eq!(shown(&files_below(&out)), second);
    }
    assert_eq!(app.mails().len(), 1);
    let real = program::run(&app.config_path(), &["run", "--now", now]).await;
    assert_eq!(real.code, Some(0), "{}", real.err);
    assert_eq!(app.papers_of(PEOPLE[0]), [ids, second].concat());
}

/// CASES 136. Before any mail is sent.
#[tokio::test]
async fn a_state_that_cannot_be_written_ends_the_run_at_once() {
    let app = Setup::new()
        .subscriber(PEOPLE[0], &["graph neural network"])
        .start()
        .await;
    app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.it_is("2026-02-10");
    std::fs::write(app.path("state"), "a file where a folder should be").expect("the directory is writable");
    let ended = program::run(&app.config_path(), &["run", "--now", "2026-02-10T07:00:00Z"]).await;
    assert!(ended.err.contains("state"), "{}", ended.err);
    assert!(ended.code == Some(74), "{:?}: {}", ended.code, ended.err);
    assert_eq!(app.mails(), []);
}

#[tokio::test]
async fn a_token_key_is_made_once_with_mode_0600() {
    use std::os::unix::fs::PermissionsExt as _;
    let app = Setup::new()
        .line("state_dir = \"memory\"")
        .mail("token_key_file", "\"keys/token.key\"")
        .subscriber(PEOPLE[0], &["graph neural network"])
        .start()
        .await;
    let key = app.path("keys/token.key");
    let mut kept = None;
    for (evening, morning) in &DAYS[..2] {
        app.announce(evening, [paper(&format!("A graph neural network of {evening}"))]);
        app.it_is(morning);
        let now = format!("{morning}T07:00:00Z");
        let ended = program::run(&app.config_path(), &["run", "--now", &now]).await;
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        let mode = std::fs::metadata(&key).expect("the key is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{mode:o}");
        let text = std::fs::read_to_string(&key).expect("the key can be read");
        assert!(!text.trim().is_empty());
        assert_eq!(*kept.get_or_insert_with(|| text.clone()), text, "made a second time");
        assert!(!ended.err.contains(text.trim()), "the key is shown");
    }
    assert_eq!(app.mails().len(), 2);
    assert!(!app.path("keys/token.key.new").exists(), "a draft is left behind");
}
