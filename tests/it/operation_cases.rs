//! The daemon on a machine that is not as it should be: no network yet, a proxy in between, a state that is not its own.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use paperround::{
    clock::{Clock as _, SystemClock},
    store::{Batch, Document, DocumentKind, Versioned},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::harness::{
    app::{Setup, TestApp},
    papers::{Paper, paper},
    program::{self, Ended, Serving, until},
};

const ANA: &str = "ana@example.net";
const GNN: &str = "graph neural network";

/// The unit that is shipped.
fn unit() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/paperround.service");
    std::fs::read_to_string(path).expect("the unit is shipped")
}

/// CASES 137. Without a name service the daemon stays up, says what is missing, and goes on when there is one.
#[tokio::test]
async fn a_network_that_is_not_there_yet_does_not_end_the_daemon() {
    let unit = unit();
    for line in [
        "Wants=network-online.target",
        "After=network-online.target",
        "Restart=on-failure",
    ] {
        assert!(unit.contains(line), "{line}");
    }
    let seconds = unit.lines().find_map(|line| line.strip_prefix("RestartSec="));
    let seconds: u32 = seconds
        .and_then(|value| value.strip_suffix('s')?.parse().ok())
        .expect("it is in seconds");
    assert!(seconds >= 5, "{seconds}");
    let mut app = Setup::new()
        .line("schedule = \"*/2 * * * * *\"")
        .arxiv("api_url", "\"http://nowhere.invalid/api/query\"")
        .arxiv("contact", "\"mailto:ops@papers.invalid\"")
        .arxiv("request_interval", "\"3s\"")
        .arxiv("retry_delay", "\"1s\"")
        .arxiv("retry_budget", "\"1s\"")
        .subscriber(ANA, &[GNN])
        .start()
        .await;
    app.arxiv.set_now(SystemClock.now());
    let ids = app.arxiv.add_now([paper("A graph neural network for molecules")]);
    let serving = Serving::start(&app.config_path(), &["serve"]);
    serving.says("no whole answer from arXiv").await;
    let began = std::time::Instant::now();
    loop {
        let status = program::run(&app.config_path(), &["status"]).await;
        if status.out.contains("Not all is well") {
            break;
        }
        assert!(began.elapsed() < program::PATIENCE, "{}\n{}", status.out, status.err);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let url = format!("\"{}\"", app.arxiv.url());
    app.reconfigure(|setup| setup.arxiv("api_url", &url));
    serving.signal("HUP").await;
    serving.says("configuration reloaded").await;
    let run = program::run(&app.config_path(), &["run"]).await;
    assert_eq!(run.code, Some(0), "{}\n{}", run.out, run.err);
    assert_eq!(app.papers_of(ANA), ids);
    serving.signal("TERM").await;
    assert_eq!(serving.ended().await.0, Some(0));
}

/// CASES 114 (b). What goes wrong inside ends the process with an error that names it, for systemd to see; it is not
/// swallowed while the schedule goes on.
#[tokio::test]
async fn an_internal_error_of_the_job_ends_the_daemon_with_its_name() {
    let mut app = Setup::new()
        .line("schedule = \"*/2 * * * * *\"")
        .subscriber(ANA, &[GNN])
        .start()
        .await;
    let store = app.store().await;
    let nonsense = Document {
        kind: DocumentKind::Slot,
        key: "0 7 * * * UTC".to_owned(),
        value: Some(serde_json::json!("not a moment")),
    };
    let batch = Batch {
        documents: vec![Versioned::new(nonsense)],
        ..Batch::default()
    };
    store.commit(batch).await.expect("the store writes");
    drop(store);
    app.end_process();
    let serving = Serving::start(&app.config_path(), &["serve"]);
    let (code, log) = serving.ended().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains("slot 0 7 * * * UTC") && log.contains("is damaged"),
        "{log}"
    );
}

/// A proxy that notes the first line of each request and has no way on.
async fn dead_end() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 4096];
            let n = stream.read(&mut bytes).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&bytes[..n]);
            let line = text.lines().next().unwrap_or_default().to_owned();
            kept.lock().expect("nobody panics with it").push(line);
            // A client that has gone is no matter here.
            let _gone = stream
                .write_all(b"HTTP/1.1 502 no way on\r\nContent-Length: 0\r\n\r\n")
                .await;
        }
    });
    (port, asked)
}

async fn run_with(app: &TestApp, now: &str, environment: &[(&str, &str)]) -> Ended {
    app.it_is(now);
    let mut command = program::command(&app.config_path(), &["run", "--now", now]);
    command.envs(environment.iter().copied());
    Ended::from(command.output().await.expect("the program starts"))
}

/// CASES 143. The proxy of the environment is used for arXiv and passed by for the hosts that it names; mail never goes
/// through it; one that is none is refused by name.
#[tokio::test]
async fn a_proxy_of_the_environment_is_used_for_arxiv_and_never_for_mail() {
    let app = Setup::new()
        .arxiv("retry_budget", "\"1s\"")
        .subscriber(ANA, &[GNN])
        .start()
        .await;
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    let (port, asked) = dead_end().await;
    let proxy = format!("http://127.0.0.1:{port}");
    let asked = || asked.lock().expect("nobody panics with it").clone();
    let now = "2026-02-10T07:00:00Z";
    let ended = run_with(&app, now, &[("HTTP_PROXY", &proxy), ("HTTPS_PROXY", &proxy)]).await;
    assert_eq!(ended.code, Some(75), "{}", ended.err);
    assert!(!asked().is_empty(), "{}", ended.err);
    assert!(
        asked().iter().all(|line| line.starts_with("GET http://127.0.0.1:")),
        "{:?}",
        asked()
    );
    assert!(ended.err.contains("502"), "{}", ended.err);
    let n_asked = asked().len();
    let passed_by = [
        ("HTTP_PROXY", proxy.as_str()),
        ("HTTPS_PROXY", proxy.as_str()),
        ("NO_PROXY", "127.0.0.1"),
    ];
    let ended = run_with(&app, now, &passed_by).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(asked().len(), n_asked, "{:?}", asked());
    assert_eq!(app.papers_of(ANA), ids);
    let ended = run_with(&app, now, &[("HTTPS_PROXY", "http://[nonsense")]).await;
    assert_eq!(ended.code, Some(78), "{}", ended.err);
    assert!(
        ended.err.contains("HTTPS_PROXY") && !ended.err.contains("nonsense"),
        "{}",
        ended.err
    );
}

/// How much memory a process holds, in kB.
fn resident_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(PathBuf::from(format!("/proc/{pid}/status"))).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok())
        .expect("Linux says so")
}

/// CASES 144. The same work again and again takes no more memory after a while.
#[tokio::test]
async fn memory_stays_level_over_many_runs() {
    const PAPERS: usize = 200;
    const WARM_UP: usize = 12;
    const RUNS: usize = 36;
    const GROWTH_KB_MAX: u64 = 12_000;
    let app = Setup::new()
        .line("schedule = \"0 0 8 1 1 *\"")
        .subscriber(ANA, &[GNN])
        .start()
        .await;
    app.arxiv.set_now(SystemClock.now());
    let papers = (0..PAPERS).map(|n| paper(&format!("A graph neural network, part {n}")));
    app.arxiv.add_now(papers.collect::<Vec<Paper>>());
    let serving = Serving::start(&app.config_path(), &["serve"]);
    serving.says("serving").await;
    let mut levels = Vec::new();
    for n in 0..WARM_UP + RUNS {
        let run = program::run(&app.config_path(), &["run"]).await;
        assert!(matches!(run.code, Some(0 | 75)), "{}", run.err);
        if n + 1 >= WARM_UP {
            levels.push(resident_kb(serving.id()));
        }
    }
    let (first, last) = (levels[0], levels[levels.len() - 1]);
    assert!(last < first + GROWTH_KB_MAX, "{levels:?}");
    until(|| !app.mails().is_empty(), || serving.log()).await;
    serving.signal("TERM").await;
    assert_eq!(serving.ended().await.0, Some(0));
}

/// The password of a second relay or of the database too: a command that lacks one would find the configuration broken.
#[tokio::test]
async fn paperroundctl_hands_over_every_credential() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/paperroundctl");
    let script = std::fs::read_to_string(script).expect("it is shipped");
    let credentials = dir.path().join("credentials");
    let folder = credentials.display().to_string();
    let here = dir.path().join("paperroundctl");
    std::fs::write(&here, script.replace("/etc/paperround/credentials", &folder)).expect("it can be written");
    let shown = dir.path().join("systemd-run");
    std::fs::write(&shown, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").expect("it can be written");
    std::fs::set_permissions(&shown, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    std::fs::create_dir(&credentials).expect("it can be made");
    let arguments = async || {
        let mut command = tokio::process::Command::new("sh");
        command.arg(&here).args(["check", "--online"]);
        command.env("PATH", format!("{}:/usr/bin:/bin", dir.path().display()));
        let ended = Ended::from(command.output().await.expect("there is a shell"));
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        ended.out
    };
    assert!(!arguments().await.contains("LoadCredential"));
    for name in [
        "smtp-password",
        "smtp-password-2",
        "database-password",
        "smtp-password~",
    ] {
        std::fs::write(credentials.join(name), "secret").expect("it can be written");
    }
    let said = arguments().await;
    for name in ["smtp-password", "smtp-password-2", "database-password"] {
        let line = format!("--property=LoadCredential={name}:{folder}/{name}\n");
        assert!(said.contains(&line), "{line} in {said}");
    }
    assert_eq!(said.matches("LoadCredential").count(), 3, "{said}");
    assert!(said.ends_with("/usr/bin/paperround\ncheck\n--online\n"), "{said}");
}
