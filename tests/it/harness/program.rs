//! The program itself as a process of its own.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

/// How long a wait for something the program does may take on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// The program with these arguments, without anything of this process's environment that it looks at.
pub(crate) fn command(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paperround"));
    command
        .env_clear()
        .current_dir("/")
        .arg("--config")
        .arg(config)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs it to its end.
pub(crate) async fn run(config: &Path, arguments: &[&str]) -> Ended {
    let output = command(config, arguments).output().await.expect("the program starts");
    Ended::from(output)
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A `serve` that goes on until told to stop.
pub(crate) struct Serving {
    child: Child,
    said: tokio::task::JoinHandle<String>,
    heard: std::sync::Arc<std::sync::Mutex<String>>,
}

impl Serving {
    pub(crate) fn start(config: &Path, arguments: &[&str]) -> Self {
        Self::of(command(config, arguments))
    }

    /// The same of a command with more in its environment.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let mut stderr = child.stderr.take().expect("it is piped");
        let heard = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let kept = std::sync::Arc::clone(&heard);
        let said = tokio::spawn(async move {
            let mut bytes = vec![0; 64 * 1024];
            while let Ok(n @ 1..) = stderr.read(&mut bytes).await {
                let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
                kept.lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .push_str(&text);
            }
            kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
        });
        Self { child, said, heard }
    }

    /// Its number among the processes.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// What it has written to standard error so far.
    pub(crate) fn log(&self) -> String {
        self.heard
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// Waits until it has written this.
    pub(crate) async fn says(&self, words: &str) {
        until(
            || self.log().contains(words),
            || format!("{words:?} in\n{}", self.log()),
        )
        .await;
    }

    /// Sends it a signal by name: `TERM`, `HUP`, `KILL`.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .await
            .expect("kill exists");
        assert!(sent.success());
    }

    /// Kills it where it stands, and waits until it is gone. Returns whether it was still running.
    pub(crate) async fn kill(mut self) -> bool {
        let was_running = self.child.try_wait().expect("a child can be looked at").is_none();
        self.child.kill().await.expect("a child can be killed");
        was_running
    }

    /// Waits for its end: exit status and everything it wrote to standard error.
    pub(crate) async fn ended(mut self) -> (Option<i32>, String) {
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("it does not end"))
            .expect("a child can be waited for");
        (status.code(), self.said.await.unwrap_or_default())
    }

    /// Asks it to end, and sees that it does so well. Returns what it has said.
    pub(crate) async fn stopped(self) -> String {
        self.signal("TERM").await;
        let (code, log) = self.ended().await;
        assert_eq!(code, Some(0), "{log}");
        log
    }
}

/// Waits until something is so.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool, what: impl Fn() -> String) {
    let began = tokio::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {}", what());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
