//! First runs, new subscriptions and large days.

use crate::harness::{app::Setup, papers::paper};

/// Look.
#[tokio::test]
async fn look() {
    let mut app = Setup::new()
        .subscriber("ana@example.net", &["graph neural network", "diffusion"])
        .start()
        .await;
    let ids = app.announce(
        "2026-02-09",
        [
            paper("A graph neural network for molecules"),
            paper("Diffusion of a graph neural network"),
        ],
    );
    let report = app.run_on("2026-02-10").await;
    println!("{report:#?} {ids:?}");
    for asked in app.arxiv.log() {
        println!("{asked:?}");
    }
    for mail in app.mails() {
        println!("{}\n{}\n{:?}", mail.subject, mail.text, mail.papers());
    }
    panic!()
}
