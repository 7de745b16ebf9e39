//! What happens to the store when the process or the disk does not behave.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use serde_json::json;

use super::*;
use crate::{
    model::LeaseEnd,
    store::contract::{at, document, entry, paper},
};

pub(super) async fn open(dir: &Path) -> Result<Opened, StoreError> {
    SledStore::open_within(dir, at(0), Duration::from_millis(500)).await
}

/// Everything in one batch carries the same number, so that a torn batch shows.
fn numbered(n: u64, revision: u64) -> Batch {
    let ana = || SubscriberId("ana".into());
    let number = u32::try_from(n).unwrap();
    let mut state = SubscriberState::new(ana());
    state.latest_digest = number;
    for place in 1..300 {
        state.seen.insert(ArxivId::from_parts(2026, 2, place).unwrap(), number);
    }
    let mut mail = entry("ana#1", at(i64::from(number)));
    mail.n_attempts = number;
    let mut long = paper("2602.00001", 1);
    long.abstract_text = format!("{n} ").repeat(3000);
    Batch {
        subscribers: vec![Versioned { value: state, revision }],
        entries: vec![Versioned { value: mail, revision }],
        documents: vec![document(DocumentKind::Note, "n", Some(json!(n)), revision)],
        papers: vec![(long, at(0))],
        ..Batch::default()
    }
}

/// The number of the last batch and the revision of its values, after proving that they all come from it.
async fn read_numbered(store: &SledStore) -> (u64, u64) {
    let note = store.document(DocumentKind::Note, "n").await.unwrap();
    let Some(n) = note.value.value.as_ref().and_then(serde_json::Value::as_u64) else {
        assert_eq!(store.subscriber_ids().await.unwrap(), []);
        assert_eq!(store.next_due().await.unwrap(), None);
        return (0, 0);
    };
    let expected = numbered(n, note.revision);
    let state = store.subscribers(&[SubscriberId("ana".into())]).await.unwrap();
    assert_eq!(state, expected.subscribers);
    assert_eq!(store.entries(&EntryFilter::default()).await.unwrap(), expected.entries);
    assert_eq!(
        store.next_due().await.unwrap(),
        Some(expected.entries[0].value.next_attempt)
    );
    let papers = store.newest_papers(None, 9).await.unwrap();
    assert!(papers.len() == 1 && papers[0].paper == expected.papers[0].0);
    (n, note.revision)
}

const CHILD_DIR: &str = "PAPERROUND_TEST_CRASH_DIR";

/// Not a test of its own: the body of the process that [`a_kill_at_any_moment_loses_and_tears_nothing`] kills.
#[tokio::test]
async fn writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else {
        return;
    };
    let store = SledStore::open(Path::new(&dir), at(0)).await.unwrap().store;
    let (mut n, mut revision) = read_numbered(&store).await;
    loop {
        n += 1;
        // A kill takes nothing of what need not wait for the disk either.
        if n.is_multiple_of(2) {
            store.commit_soon(numbered(n, revision)).await.unwrap();
        } else {
            store.commit(numbered(n, revision)).await.unwrap();
        }
        revision += 1;
        // Not `println!`, which the test harness may hold back.
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {n}").and_then(|()| out.flush()).unwrap();
    }
}

#[tokio::test]
async fn a_kill_at_any_moment_loses_and_tears_nothing() {
    const N_KILLS: u64 = 30;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("store");
    let mut acknowledged = 0;
    for round in 0..N_KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "store::sled::probes::writes_until_it_is_killed",
            ])
            .env(CHILD_DIR, &dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (began, has_begun) = tokio::sync::oneshot::channel();
        let reader = std::thread::spawn(move || {
            let (mut last, mut began) = (None, Some(began));
            while let Some(Ok(line)) = lines.next() {
                // The harness's own first words may stand before ours on the line.
                if let Some((_, n)) = line.rsplit_once("acknowledged ") {
                    last = n.parse().ok().or(last);
                    // Nobody listens in the other rounds.
                    let _heard = began.take().map(|began| began.send(()));
                }
            }
            last
        });
        // From the middle of opening to the middle of writing; a busy machine may not get to writing by itself.
        if round % 2 == 1 {
            has_begun.await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(15 + round * 97 % 180)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = reader.join().unwrap().unwrap_or(acknowledged);
        let opened = open(&dir).await.unwrap();
        let (n, _) = read_numbered(&opened.store).await;
        assert!(
            n == acknowledged || n == acknowledged + 1,
            "{n} is stored, {acknowledged} was acknowledged"
        );
        acknowledged = n;
    }
    assert!(acknowledged > N_KILLS, "only {acknowledged} batches were written");
    println!("{acknowledged} batches over {N_KILLS} kills");
}

/// A closed store of some size, whose last batch has the number `n`.
async fn closed_store(n: u64) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("store");
    let opened = open(&dir).await.unwrap();
    assert!(opened.created && opened.repaired.is_none() && opened.former_life == FormerLife::default());
    for n in 0..n {
        opened.store.commit(numbered(n + 1, n)).await.unwrap();
    }
    drop(opened);
    (folder, dir)
}

#[tokio::test]
async fn half_written_and_empty_snapshots_do_not_keep_the_store_from_opening() {
    let (_folder, dir) = closed_store(40).await;
    std::fs::write(dir.join("snap.00000000000F4240.generating"), b"junk").unwrap();
    let opened = open(&dir).await.unwrap();
    assert!(!opened.created && opened.repaired.is_none());
    assert_eq!(read_numbered(&opened.store).await.0, 40);
    drop(opened);
    assert!(!dir.join("snap.00000000000F4240.generating").exists());

    for content in [&b""[..], b"junk that is no snapshot at all"] {
        for path in snapshots(&dir) {
            std::fs::remove_file(path).unwrap();
        }
        std::fs::write(dir.join("snap.00000000000F4240"), content).unwrap();
        let opened = open(&dir).await.unwrap();
        assert!(
            opened.repaired.as_ref().is_some_and(|words| words.contains("snapshot")),
            "{opened:?}"
        );
        assert_eq!(read_numbered(&opened.store).await.0, 40);
        drop(opened);
        assert!(dir.join("aside-snap.00000000000F4240").exists());
    }
}

fn snapshots(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    files
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("snap."))
        .collect()
}

#[tokio::test]
async fn a_damaged_log_is_named_or_harmless_and_never_a_silent_loss() {
    const N: u64 = 150;
    let (folder, dir) = closed_store(N).await;
    let whole = std::fs::read(dir.join("db")).unwrap();
    let snapshot = snapshots(&dir);
    let mut outcomes = [0, 0];
    let n_places = 12;
    for round in 0..3 * n_places {
        let copy = folder.path().join(format!("copy{round}"));
        std::fs::create_dir_all(copy.join("blobs")).unwrap();
        for name in ["conf", "last-commit"] {
            std::fs::copy(dir.join(name), copy.join(name)).unwrap();
        }
        for path in snapshot.iter().filter(|_| round % 2 == 0) {
            std::fs::copy(path, copy.join(path.file_name().unwrap())).unwrap();
        }
        let mut bytes = whole.clone();
        let place = (round % n_places) * bytes.len() / n_places;
        match round / n_places {
            0 => bytes.truncate(place),
            1 => bytes[place..][..200].fill(0x5a),
            _ => bytes[place..][..4096].fill(0),
        }
        std::fs::write(copy.join("db"), bytes).unwrap();
        match open(&copy).await {
            Ok(opened) => {
                assert!(!opened.created, "{round}: a used state passed for a new one");
                assert_eq!(read_numbered(&opened.store).await.0, N, "{round}");
                outcomes[0] += 1;
            }
            Err(StoreError::Damaged { place, what }) => {
                assert!(place == copy.display().to_string() && !what.is_empty(), "{what}");
                outcomes[1] += 1;
                // What is damaged stays so at the next start, too.
                assert!(matches!(open(&copy).await, Err(StoreError::Damaged { .. })), "{round}");
            }
            Err(error) => panic!("{round}: {error}"),
        }
    }
    println!("{} whole, {} damaged", outcomes[0], outcomes[1]);
    assert!(outcomes.iter().all(|n| *n > 0), "{outcomes:?}");
}

/// A store of thousands is not read whole at the start; what is broken there is looked for at the start after it was met.
#[tokio::test]
async fn what_is_only_kept_is_read_whole_once_something_could_not_be_read() {
    let (_folder, dir) = closed_store(1).await;
    let store = open(&dir).await.unwrap().store;
    let scanned = store.call(|tables| {
        let whole = open::scan(tables, Duration::from_secs(9))?;
        Ok((whole, open::scan(tables, Duration::ZERO)?))
    });
    assert_eq!(scanned.await.unwrap(), (true, false));
    let suspect = dir.join("suspect");
    assert!(!suspect.exists());
    let broken = store.call(|tables| {
        let mut plan = table::Plan::new(tables);
        plan.put_value(Table::Paper, b"2602.00009v1".to_vec(), b"no head".to_vec());
        let writes = plan.into_writes();
        tables.apply(&writes)?;
        open::scan(tables, Duration::ZERO)
    });
    assert!(!broken.await.unwrap(), "it was not reached");
    let met = store.newest_papers(None, 9).await.unwrap_err();
    assert!(matches!(met, StoreError::Damaged { .. }), "{met}");
    assert!(suspect.exists());
    drop(store);
    let refused = open(&dir).await.unwrap_err();
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
}

#[tokio::test]
async fn an_emptied_state_is_not_taken_for_a_new_one_and_can_be_set_aside() {
    let (_folder, dir) = closed_store(3).await;
    for path in snapshots(&dir) {
        std::fs::remove_file(path).unwrap();
    }
    std::fs::remove_file(dir.join("db")).unwrap();
    let error = open(&dir).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Damaged { what, .. } if what.contains("nothing of it")),
        "{error}"
    );
    let aside = [quarantine(&dir, at(0)).unwrap(), {
        std::fs::create_dir(&dir).unwrap();
        quarantine(&dir, at(0)).unwrap()
    }];
    let names = aside.each_ref().map(|path| path.file_name().unwrap().to_str().unwrap());
    assert_eq!(names, ["corrupt-20260210T050640Z", "corrupt-20260210T050640Z-2"]);
    assert!(aside[0].join("last-commit").exists() && !dir.exists());
    let opened = open(&dir).await.unwrap();
    assert!(opened.created);
    let refused = quarantine(&dir, at(1)).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
}

#[tokio::test]
async fn an_older_copy_is_refused_until_the_operator_accepts_it() {
    let (_folder, dir) = closed_store(5).await;
    std::fs::write(dir.join("last-commit"), "00000000000000000099\n").unwrap();
    let error = open(&dir).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Damaged { what, .. } if what.contains("99 changes")),
        "{error}"
    );
    std::fs::remove_file(dir.join("last-commit")).unwrap();
    let opened = open(&dir).await.unwrap();
    assert_eq!(opened.repaired.as_deref(), Some("last-commit was written anew"));
    assert_eq!(read_numbered(&opened.store).await.0, 5);
}

#[tokio::test]
async fn a_second_instance_is_told_so_and_a_restart_waits_for_the_first() {
    let (_folder, dir) = closed_store(1).await;
    let opened = open(&dir).await.unwrap();
    let error = open(&dir).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::InUse(place) if *place == dir.display().to_string()),
        "{error}"
    );
    let words = error.to_string();
    assert!(
        words.starts_with("another instance is using ") && !words.contains("WouldBlock"),
        "{words}"
    );

    // Another process, killed a little later: opening waits for its end.
    drop(opened);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "store::sled::probes::writes_until_it_is_killed",
        ])
        .env(CHILD_DIR, &dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while !lines.next().unwrap().unwrap().contains("acknowledged") {}
    let reader = std::thread::spawn(move || lines.count());
    assert!(matches!(open(&dir).await, Err(StoreError::InUse(_))));
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        child.kill().and_then(|()| child.wait()).unwrap();
    });
    let reopened = SledStore::open(&dir, at(1)).await.unwrap();
    assert!(read_numbered(&reopened.store).await.0 > 1);
    killer.join().unwrap();
    reader.join().unwrap();
    drop(reopened);
    for _ in 0..10 {
        drop(open(&dir).await.unwrap());
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named_with_the_systems_words() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    for (dir, number) in [
        (file.join("store"), "os error 20"),
        (PathBuf::from("/proc/store"), "os error 2"),
    ] {
        match open(&dir).await {
            Err(StoreError::Io { place, why, .. }) => {
                assert!(
                    place.starts_with(&dir.display().to_string()) && why.contains(number),
                    "{place}: {why}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_folder_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("a/store");
    let mode = |dir: &Path| std::fs::metadata(dir).unwrap().permissions().mode() & 0o777;
    drop(open(&dir).await.unwrap());
    assert_eq!(mode(&dir), 0o700);
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    drop(open(&dir).await.unwrap());
    assert_eq!(mode(&dir), 0o700);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let (_folder, dir) = closed_store(2).await;
    let put_schema = async |version: u64| {
        let db = ::sled::open(&dir).unwrap();
        let tree = db.open_tree(Table::Meta.as_str()).unwrap();
        let value = super::super::schema::encode_number(version);
        tree.insert(table::SCHEMA_KEY, value).unwrap();
        db.flush().unwrap();
    };
    put_schema(2).await;
    match open(&dir).await {
        Err(StoreError::TooNew { found: 2, known: 1, .. }) => {}
        other => panic!("{other:?}"),
    }
    put_schema(0).await;
    assert!(matches!(open(&dir).await, Err(StoreError::Damaged { .. })));
    put_schema(1).await;
    assert_eq!(read_numbered(&open(&dir).await.unwrap().store).await.0, 2);
}

#[tokio::test]
async fn after_a_failure_of_disk_or_database_everything_is_refused() {
    type Failing = fn(&mut Tables) -> Result<(), Fault>;
    let failures: [Failing; 4] = [
        |_| Err(Fault::Sync(io::Error::from_raw_os_error(5))),
        |_| Err(Fault::reading(::sled::Error::Io(io::Error::from_raw_os_error(28)))),
        |_| Err(Fault::reading(::sled::Error::Corruption { at: None, bt: () })),
        |_| panic!("inside sled"),
    ];
    for fail in failures {
        let (_folder, dir) = closed_store(1).await;
        let store = open(&dir).await.unwrap().store;
        // A conflict is no failure.
        assert!(matches!(
            store.commit(numbered(9, 9)).await,
            Err(StoreError::Conflict(_))
        ));
        store.ping().await.unwrap();
        let first = store.call(fail).await.unwrap_err();
        assert!(matches!(first, StoreError::Io { .. }), "{first}");
        assert!(!first.to_string().contains("kind:"), "{first}");
        for later in [store.ping().await, store.commit(numbered(2, 1)).await] {
            let later = later.unwrap_err();
            assert!(
                matches!(&later, StoreError::Io { why, .. } if why.contains("failed before")),
                "{later}"
            );
        }
        drop(store);
        assert_eq!(read_numbered(&open(&dir).await.unwrap().store).await.0, 1);
    }
}

#[tokio::test]
async fn one_sync_serves_all_who_wait_and_who_need_not_wait_is_served_soon() {
    let (_folder, dir) = closed_store(1).await;
    let store = open(&dir).await.unwrap().store;
    let is_behind = async || store.call(|tables| Ok(tables.is_behind())).await.unwrap();
    let batch = |key: &str| Batch {
        documents: vec![document(DocumentKind::Note, key, Some(json!(key)), 0)],
        ..Batch::default()
    };
    // The owner is kept busy until five callers wait. The last of them asks before any is answered.
    let (begin, begun) = tokio::sync::oneshot::channel();
    let (release, released) = std::sync::mpsc::channel();
    let busy = store.call(move |_| {
        begin.send(()).unwrap();
        released.recv().unwrap();
        Ok(())
    });
    let others = async {
        begun.await.unwrap();
        let commits = futures_util::future::join_all(["a", "b", "c", "d"].map(|key| store.commit(batch(key))));
        tokio::join!(commits, is_behind(), async {
            // By then the others have asked.
            tokio::task::yield_now().await;
            release.send(()).unwrap();
        })
    };
    let (busy, (commits, behind, ())) = tokio::join!(busy, others);
    busy.unwrap();
    commits.into_iter().collect::<Result<Vec<()>, _>>().unwrap();
    assert!(behind, "all four were written before the first sync");
    assert!(!is_behind().await);
    // One that need not wait is answered before, and made durable by the next commit, or by the owner itself,
    // however often it is asked something meanwhile.
    store.commit_soon(batch("e")).await.unwrap();
    store.commit(batch("f")).await.unwrap();
    assert!(!is_behind().await);
    store.commit_soon(batch("g")).await.unwrap();
    while is_behind().await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(store);
    let store = open(&dir).await.unwrap().store;
    let n_kept = store.documents(DocumentKind::Note).await.unwrap().len();
    assert_eq!(n_kept, 1 + 7);
}

#[tokio::test]
async fn a_journal_that_a_mail_depends_on_is_brought_to_the_disk_with_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store")).await.unwrap().store;
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    store.begin_journal(&first).await.unwrap();
    let begun = |name: &str| {
        let mut mail = Versioned::new(entry(name, at(0)));
        assert!(mail.value.lease(&WorkerId("w".into()), at(1)));
        mail.value.begin_data();
        Batch {
            entries: vec![mail],
            ..Batch::default()
        }
    };
    let [one, other, third] = ["ana#1", "bo#1", "cy#1"].map(begun);
    // Answered at once, since this takes what the store would wait for.
    let noted = store.call_answered(Answered::AtOnce, move |tables| {
        let note = Batch {
            documents: vec![document(DocumentKind::Note, "n", Some(json!(1)), 0)],
            ..Batch::default()
        };
        verbs::commit(tables, &note)?;
        let of_note = tables.take_unsynced().map(|unsynced| unsynced.journals.len());
        verbs::commit(tables, &one)?;
        let of_mail = tables.take_unsynced().map(|unsynced| unsynced.journals.len());
        // The next journal begins while the one before still owes something.
        verbs::commit(tables, &other)?;
        verbs::begin_journal(tables, &second)?;
        verbs::commit(tables, &third)?;
        let of_both = tables.take_unsynced().map(|unsynced| unsynced.journals.len());
        Ok([of_note, of_mail, of_both])
    });
    assert_eq!(noted.await.unwrap(), [Some(0), Some(1), Some(2)]);
}

#[tokio::test]
async fn a_crash_tells_which_mails_may_have_been_sent() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap().store;
    let batch = Batch {
        entries: ["ana#1", "bo#1"]
            .map(|name| Versioned::new(entry(name, at(0))))
            .to_vec(),
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
    let worker = WorkerId("w".into());
    let mut leased = store
        .lease_due(&worker, DueBy::now(at(0)), TimeDelta::minutes(15), 9)
        .await
        .unwrap();
    leased[1].value.begin_data();
    let batch = Batch {
        entries: leased.split_off(1),
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
    drop(store);
    let opened = open(folder.path()).await.unwrap();
    let expected = FormerLife {
        unsent: vec!["ana#1".parse().unwrap()],
        unconfirmed: vec!["bo#1".parse().unwrap()],
        held: Vec::new(),
    };
    assert_eq!(opened.former_life, expected);
    let mut entry = opened.store.entry(&expected.unsent[0]).await.unwrap().unwrap().value;
    assert!(entry.lease(&worker, at(1)));
    assert_eq!(entry.expire_lease(at(2)), Some(LeaseEnd::Unsent));
}

#[tokio::test]
async fn nothing_is_too_large_for_the_log_and_too_much_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap().store;
    // sled puts pages over 128 KiB into files that it never syncs.
    for round in 0..40 {
        let documents = (0..20).map(|n| {
            let value = "x".repeat(1000 + (n * 7919 + round * 104_729) % 70_000);
            let key = format!("{:0>255}", round * 20 + n);
            document(DocumentKind::Note, &key, Some(json!(value)), 0)
        });
        let batch = Batch {
            documents: documents.collect(),
            ..Batch::default()
        };
        store.commit(batch).await.unwrap();
    }
    let n_blobs = std::fs::read_dir(folder.path().join("blobs")).unwrap().count();
    assert_eq!(n_blobs, 0);
    let value = json!("x".repeat(super::super::schema::BODY_BYTES_MAX));
    let batch = Batch {
        documents: vec![document(DocumentKind::Note, "k", Some(value), 0)],
        ..Batch::default()
    };
    let error = store.commit(batch).await.unwrap_err();
    assert!(error.to_string().contains("note k is longer than"), "{error}");
    store.ping().await.unwrap();
}

/// sled waits for ever for what could not be written (seen with an I/O error at the right moment). CASES of that kind
/// end a daemon in silence; here the store says so, and nothing waits for the thread that hangs.
#[tokio::test]
async fn a_disk_that_never_answers_is_an_error_and_does_not_delay_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await.unwrap().store;
    store.answer_max = Duration::from_millis(50);
    let (hold, held) = mpsc::channel::<()>();
    let error = store
        .call(move |_| {
            let _ended = held.recv();
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert!(error.to_string().contains("has not answered"), "{error}");
    // Everything after it is refused at once, and closing does not wait, although the thread still hangs.
    let error = store.ping().await.unwrap_err();
    assert!(error.to_string().contains("errors of the disk"), "{error}");
    drop(store);
    hold.send(()).unwrap();
}
