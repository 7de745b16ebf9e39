//! Tables of their own in the PostgreSQL that the environment names; tests without one say that they are skipped.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use paperround::clock::{Clock, SystemClock};
use tokio::net::{TcpListener, TcpStream};
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
        section(&self.url, &self.schema, lease)
    }

    /// The same over a way that can be cut.
    pub(crate) async fn section_over_a_wire(&self, lease: &str) -> (String, Wire) {
        let mut url = reqwest::Url::parse(&self.url).expect("it is an address");
        let server = (
            url.host_str().expect("it names a host").to_owned(),
            url.port().unwrap_or(5432),
        );
        let wire = Wire::start(server).await;
        url.set_host(Some("127.0.0.1")).expect("it has a host");
        url.set_port(Some(wire.port)).expect("it has a port");
        (section(url.as_str(), &self.schema, lease), wire)
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

fn section(url: &str, schema: &str, lease: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!(
        "[store]\nbackend = \"postgres\"\nurl = \"{url}{separator}options=-csearch_path%3D{schema}\"\nlease = \"{lease}\"\n"
    )
}

/// Carries bytes to the server and back until it is cut: then neither side hears anything more.
pub(crate) struct Wire {
    port: u16,
    cut: tokio::sync::watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Wire {
    async fn start(server: (String, u16)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (cut, is_cut) = tokio::sync::watch::channel(false);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, mut is_cut) = (server.clone(), is_cut.clone());
                connections.spawn(async move {
                    let Ok(mut server) = TcpStream::connect(server).await else {
                        return;
                    };
                    let cut = async { is_cut.wait_for(|cut| *cut).await.is_ok() };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        // Both ends stay open, and nothing goes over any more.
                        _ = cut => std::future::pending().await,
                    }
                });
            }
        });
        Self { port, cut, task }
    }

    pub(crate) fn cut(&self) {
        self.cut.send_replace(true);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
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
