//! How large the store becomes over the years.

use super::{probes::open, *};
use crate::{
    model::{Attempt, Definition, EntryState, Outcome, PaperRecord, SectionRecord, Shown, Term},
    store::contract::{at, entry, paper},
};

/// What is stored for all subscribers after a year in which each got ten papers a day.
#[derive(Debug)]
struct Year {
    /// Keys and values of what is remembered of each: what was seen, and from where on keywords count.
    state_bytes_each: u64,
    /// The same of the digests of the last two weeks.
    digest_bytes_each: u64,
    file_bytes: u64,
    reopened_in: Duration,
}

/// A year as the daemon lives it: record, enqueue, accept, prune after sixty days, and keep
/// the digests of two weeks.
async fn a_year(n_subscribers: u32) -> Year {
    const DAYS: u32 = 365;
    const KEPT_DAYS: u32 = 60;
    const DIGESTS_KEPT: u32 = 14;
    const TOGETHER: usize = 250;
    /// arXiv announces about so many papers a day; a subscriber's ten lie anywhere among them.
    const ANNOUNCED: u32 = 1_000;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap().store;
    let id_of = |n: u32| ArxivId::from_parts(2026, 1 + (n / 30_500 % 12) as u8, 1 + n % 30_500).unwrap();
    let readers: Vec<_> = (0..n_subscribers)
        .map(|n| SubscriberId(format!("reader{n:05}@example.net").into()))
        .collect();
    for day in 0..DAYS {
        for (chunk, ids) in readers.chunks(TOGETHER).enumerate() {
            let mut batch = Batch::default();
            for (place, mut state) in store.subscribers(ids).await.unwrap().into_iter().enumerate() {
                let reader = (chunk * TOGETHER + place) as u32;
                if day == 0 {
                    let keyword = Definition::unrestricted(Term::phrase("graph neural network"));
                    state
                        .value
                        .configure(&[("graph neural network".into(), keyword)], at(0));
                    state.value.determine(|_| Some(id_of(0)));
                }
                let today: Vec<_> = (0..10)
                    .map(|n| id_of(day * ANNOUNCED / 12 * 12 + n * 100 + (reader * 7919 + day * 31 + n * 17) % 100))
                    .collect();
                for id in &today {
                    state.value.record(id, at(0));
                }
                let number = state.value.enqueue(&today, at(0));
                state.value.accept(number);
                if let Some(former) = day.checked_sub(KEPT_DAYS) {
                    state.value.prune(&id_of(former * ANNOUNCED / 12 * 12));
                }
                batch
                    .entries
                    .push(Versioned::new(accepted(&state.value.id, number, &today)));
                if let Some(old) = number.checked_sub(DIGESTS_KEPT).filter(|old| *old > 0) {
                    let subscriber = state.value.id.clone();
                    batch.entries_deleted.push(DigestId {
                        subscriber,
                        number: old,
                    });
                }
                batch.subscribers.push(state);
            }
            store.commit(batch).await.unwrap();
        }
    }
    // Pruning brings nothing back: what fell out of the memory is not above the floor.
    let state = store.subscribers(&readers[..1]).await.unwrap().remove(0).value;
    assert!(
        state.seen.len() >= 600 && state.seen.len() < 640,
        "{}",
        state.seen.len()
    );
    for day in 0..DAYS - KEPT_DAYS {
        assert!(
            !state.is_above_floor(&id_of(day * ANNOUNCED / 12 * 12), |_| true),
            "{day}"
        );
    }
    let [state_bytes, digest_bytes] = store.call(|all| sizes(all)).await.unwrap();
    let state_bytes_each = state_bytes / u64::from(n_subscribers);
    let digest_bytes_each = digest_bytes / u64::from(n_subscribers);
    drop(store);
    let file_bytes = std::fs::metadata(folder.path().join("db")).unwrap().len();
    let began = std::time::Instant::now();
    let store = open(folder.path()).await.unwrap().store;
    let reopened_in = began.elapsed();
    assert_eq!(store.subscriber_ids().await.unwrap().len(), readers.len());
    Year {
        state_bytes_each,
        digest_bytes_each,
        file_bytes,
        reopened_in,
    }
}

/// Keys and values of what is remembered of subscribers, and of their digests, in bytes.
fn sizes(all: &Tables) -> Result<[u64; 2], Fault> {
    let mut sizes = [0, 0];
    for table in [Table::Subscriber, Table::Outbox, Table::Due, Table::Chunk] {
        for pair in all.tree(table) {
            let (key, value) = pair.map_err(Fault::reading)?;
            // A chunk's key begins with the number of the table that it belongs to.
            let is_of_digest = match table {
                Table::Chunk => key.first() == Some(&(Table::Outbox as u8)),
                _ => table != Table::Subscriber,
            };
            sizes[usize::from(is_of_digest)] += (key.len() + value.len()) as u64;
        }
    }
    Ok(sizes)
}

/// An accepted digest of ten papers as it is kept.
fn accepted(subscriber: &SubscriberId, number: u32, ids: &[ArxivId]) -> OutboxEntry {
    let mut entry = entry(&format!("{subscriber}#{number}"), at(0));
    entry.digest.keywords = vec![("graph neural network".into(), Term::phrase("graph neural network"))];
    let papers = ids.iter().map(|id| PaperRecord {
        id: id.clone(),
        version: 1,
        shown: Shown::Full,
        also: Vec::new(),
        replaces: None,
        changes: None,
    });
    entry.digest.sections = vec![SectionRecord {
        keyword: 0,
        papers: papers.collect(),
        n_waiting: 0,
        n_skipped: 0,
    }];
    // Hashes that nothing can shorten.
    let hash = |salt: &str| {
        let text = format!("{subscriber}#{number}{salt}");
        let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        hash.as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    entry.sha256 = Some(hash("bytes"));
    entry.fingerprint = Some(hash("surroundings"));
    entry.message_id = format!("<pr1.{}@example.org>", &hash("id")[..26]);
    entry.n_attempts = 1;
    let reply = format!("250 2.0.0 Ok: queued as {}", &hash("queue")[..12].to_uppercase());
    entry.push_attempt(Attempt {
        at: at(1),
        outcome: Outcome::Accepted { reply: reply.clone() },
        relay: None,
    });
    entry.state = EntryState::Accepted { at: at(1), reply };
    entry
}

/// CASES 134. The digests of two weeks, which the web part shows, stand beside the state: some 750 bytes each.
#[tokio::test]
async fn what_a_year_of_ten_papers_a_day_leaves_of_a_subscriber_stays_under_two_kilobytes() {
    let year = a_year(20).await;
    println!("{year:?}");
    assert!(year.state_bytes_each < 2_000, "{year:?}");
    assert!(year.digest_bytes_each < 14 * 800, "{year:?}");
}

/// Ten thousand subscribers over a year: half an hour of work and more, so run by hand.
#[tokio::test]
#[ignore = "a measurement: cargo test --release --lib ten_thousand_subscribers -- --ignored --nocapture"]
async fn a_year_of_ten_thousand_subscribers_reopens_within_a_second() {
    let year = a_year(10_000).await;
    println!("{year:?}");
    assert!(year.state_bytes_each < 2_000, "{year:?}");
    // Free segments of the log are part of the file, and sled's cleaner works at a leisure that a year in an hour leaves
    // it none of.
    assert!(year.file_bytes < 10_000 * 100_000, "{year:?}");
    assert!(year.reopened_in < Duration::from_secs(1), "{year:?}");
}

/// CASES 134. Two years of 300 new papers a day for five subscribers with 90 days kept: several minutes of work, so run by hand.
#[tokio::test]
#[ignore = "a measurement of two years' growth: cargo test --lib two_years -- --ignored --nocapture"]
async fn two_years_of_use_stay_small_and_open_quickly() {
    const DAYS: u32 = 730;
    const KEPT_DAYS: u32 = 90;
    const PAPERS_PER_DAY: u32 = 300;
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await.unwrap().store;
    let paper_id =
        |n: u32| ArxivId::from_parts(2026 + (n / 240_000) as u16, 1 + (n / 20_000 % 12) as u8, 1 + n % 20_000).unwrap();
    let readers: Vec<_> = (0..5)
        .map(|n| SubscriberId(format!("reader{n}@example.net").into()))
        .collect();
    let mut largest = 0;
    for day in 0..DAYS {
        let today: Vec<_> = (0..PAPERS_PER_DAY)
            .map(|n| paper_id(day * PAPERS_PER_DAY + n))
            .collect();
        let papers = today.iter().map(|id| {
            let mut paper = paper("2602.00001", 1);
            paper.id = id.clone();
            paper.abstract_text = format!("{id} ").repeat(120);
            (paper, at(0))
        });
        let mut batch = Batch {
            papers: papers.collect(),
            ..Batch::default()
        };
        if let Some(former) = day.checked_sub(KEPT_DAYS) {
            let ids = (0..PAPERS_PER_DAY).map(|n| paper_id(former * PAPERS_PER_DAY + n));
            batch.papers_deleted = ids.map(|id| VersionedId { id, version: 1 }).collect();
        }
        store.commit(batch).await.unwrap();
        for reader in &readers {
            let mut state = store.subscribers(std::slice::from_ref(reader)).await.unwrap().remove(0);
            for id in &today {
                state.value.record(id, at(0));
            }
            let number = state.value.enqueue(&today, at(0));
            let mail = entry(&format!("{reader}#{number}"), at(0));
            let batch = Batch {
                subscribers: vec![state],
                entries: vec![Versioned::new(mail)],
                ..Batch::default()
            };
            store.commit(batch).await.unwrap();
        }
        for mut leased in store
            .lease_due(&WorkerId("w".into()), DueBy::now(at(0)), TimeDelta::minutes(15), 9)
            .await
            .unwrap()
        {
            let DigestId { subscriber, number } = leased.value.digest.id.clone();
            let mut state = store
                .subscribers(std::slice::from_ref(&subscriber))
                .await
                .unwrap()
                .remove(0);
            state.value.accept(number);
            if let Some(former) = day.checked_sub(KEPT_DAYS) {
                state.value.prune(&paper_id(former * PAPERS_PER_DAY));
            }
            leased.value.state = EntryState::Accepted {
                at: at(1),
                reply: "250 ok".into(),
            };
            let old = number.checked_sub(KEPT_DAYS).filter(|number| *number > 0);
            let batch = Batch {
                subscribers: vec![state],
                entries: vec![leased],
                entries_deleted: old.map(|number| DigestId { subscriber, number }).into_iter().collect(),
                ..Batch::default()
            };
            store.commit(batch).await.unwrap();
        }
        if day % 73 == 72 {
            drop(store);
            let db = std::fs::metadata(folder.path().join("db")).unwrap().len();
            let began = std::time::Instant::now();
            store = open(folder.path()).await.unwrap().store;
            println!("day {day}: {} kB, opened in {:?}", db / 1000, began.elapsed());
            largest = db.max(largest);
        }
    }
    assert!(largest < 400_000_000, "{largest}");
}
