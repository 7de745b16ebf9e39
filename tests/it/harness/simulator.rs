//! The simulator of arXiv over recorded papers, where it is at hand.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

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
    /// `None` where it cannot be started here.
    pub(crate) async fn start(now: &str) -> Option<Self> {
        let shared = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared"));
        let script = shared.join("sim/arxiv_sim.py");
        if !script.exists() {
            return None;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .ok()?
            .local_addr()
            .ok()?
            .port();
        let process = std::process::Command::new("python3")
            .arg(script)
            .arg("--corpus")
            .arg(shared.join("arxiv/corpus.jsonl"))
            .arg("--announced")
            .arg(shared.join("arxiv/corpus_announced.tsv"))
            .args(["--port", &port.to_string(), "--speed", "0", "--now", now])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .ok()?;
        let simulator = Self {
            process,
            base: format!("http://127.0.0.1:{port}"),
        };
        for _ in 0..300 {
            if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Some(simulator);
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        None
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
