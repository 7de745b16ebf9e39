//! Tables of their own in the PostgreSQL that the environment names; tests without one say that they are skipped.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use paperround::clock::{Clock, SystemClock};
use tokio_postgres::NoTls;

/// Names a database, in the form of `store.url`.
const URL: &str = "PAPERROUND_TEST_POSTGRES";
/// A command that ends the server at once and starts it again.
const RESTART: &str = "PAPERROUND_TEST_POSTGRES_RESTART";

pub(crate) struct Database {
    url: String,
    schema: String,
}

impl Database {
    pub(crate) async fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let Ok(url) = std::env::var(URL) else {
            println!("skipped: {URL} names no database");
            return None;
        };
        let moment = SystemClock.now().timestamp_micros();
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let schema = format!("it{}_{moment}_{n}", std::process::id());
        let database = Self { url, schema };
        database.sql(&format!("create schema {}", database.schema)).await;
        Some(database)
    }

    /// `[store]` for these tables.
    pub(crate) fn section(&self, lease: &str) -> String {
        let separator = if self.url.contains('?') { '&' } else { '?' };
        format!(
            "[store]\nbackend = \"postgres\"\nurl = \"{}{separator}options=-csearch_path%3D{}\"\nlease = \"{lease}\"\n",
            self.url, self.schema
        )
    }

    async fn sql(&self, sql: &str) {
        // Another test may be restarting the server.
        for _ in 0..100 {
            if let Ok((client, connection)) = tokio_postgres::connect(&self.url, NoTls).await {
                tokio::spawn(connection);
                if client.batch_execute(sql).await.is_ok() {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("the database does not do as told: {sql}");
    }

    /// Ends the server as a power cut would and starts it again. `false`, with a word, where nobody says how.
    pub(crate) async fn restart() -> bool {
        let Ok(command) = std::env::var(RESTART) else {
            println!("skipped: {RESTART} names no command");
            return false;
        };
        let ended = tokio::task::spawn_blocking(move || Command::new("sh").args(["-c", &command]).status()).await;
        let status = ended.expect("it does not panic").expect("sh exists");
        assert!(status.success(), "the database did not start again");
        true
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (url, schema) = (self.url.clone(), self.schema.clone());
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(async {
                if let Ok((client, connection)) = tokio_postgres::connect(&url, NoTls).await {
                    tokio::spawn(connection);
                    let _left_behind = client.batch_execute(&format!("drop schema {schema} cascade")).await;
                }
            });
        });
        let _left_behind = dropping.join();
    }
}
