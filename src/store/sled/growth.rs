//! How large the store becomes over the years.

use super::{probes::open, *};
use crate::{
    model::EntryState,
    store::contract::{at, entry, paper},
};

/// Two years of 300 new papers a day for five subscribers with 90 days kept: several minutes of work, so run by hand.
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
    let readers: Vec<_> = (0..5).map(|n| SubscriberId(format!("reader{n}@example.net"))).collect();
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
