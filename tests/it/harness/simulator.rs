//! The simulator of arXiv over recorded papers, where it is at hand.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// It reads and indexes the recorded papers first; a busy machine takes its time.
const START_MAX: std::time::Duration = std::time::Duration::from_secs(180);
/// How often a port is chosen.
const STARTS_MAX: usize = 3;

/// The simulator of arXiv in `../shared/sim`, as a process of its own that ends with the test.
pub(crate) struct Simulator {
    process: std::process::Child,
    pub(crate) base: String,
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _gone_already = self.process.kill();
        let _status = self.process.wait();
    }
}

impl Simulator {
    /// `None`, and a line that says so, where `../shared` is absent; everything else that keeps it from starting is a
    /// failure of the test.
    pub(crate) async fn start(now: &str) -> Option<Self> {
        let shared = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared"));
        let script = shared.join("sim/arxiv_sim.py");
        if !shared.exists() {
            println!("skipped: ../shared is absent");
            return None;
        }
        // The port is free when it is chosen, and may be taken before it is listened on.
        for _ in 0..STARTS_MAX {
            if let Some(simulator) = Self::launch(shared, &script, now).await {
                return Some(simulator);
            }
        }
        panic!("the simulator ends at once each time it is started: see above");
    }

    /// `None` if it ended before it listened.
    async fn launch(shared: &Path, script: &Path, now: &str) -> Option<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("loopback has a free port")
            .port();
        let process = std::process::Command::new("python3")
            .arg(script)
            .arg("--corpus")
            .arg(shared.join("arxiv/corpus.jsonl"))
            .arg("--announced")
            .arg(shared.join("arxiv/corpus_announced.tsv"))
            .args(["--port", &port.to_string(), "--speed", "0", "--now", now])
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("python3 is needed where ../shared is at hand");
        let mut simulator = Self {
            process,
            base: format!("http://127.0.0.1:{port}"),
        };
        let began = std::time::Instant::now();
        while began.elapsed() < START_MAX {
            if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Some(simulator);
            }
            if let Some(status) = simulator.process.try_wait().expect("a process can be asked") {
                println!("the simulator ended before it listened: {status}");
                return None;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("the simulator did not listen within {START_MAX:?}");
    }

    pub(crate) async fn set_now(&self, now: DateTime<Utc>) {
        self.control(&json!({ "now": now.format("%Y-%m-%dT%H:%M:%SZ").to_string() }))
            .await;
    }

    /// Which faults come from now on, in the simulator's own words; an empty list ends them.
    pub(crate) async fn set_faults(&self, faults: &Value) {
        self.control(&json!({ "faults": faults })).await;
    }

    async fn control(&self, command: &Value) {
        let address = self.base.trim_start_matches("http://");
        let body = command.to_string();
        let request = format!(
            "POST /_control HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}
