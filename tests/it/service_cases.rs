//! What an administrator relies on: one screen that says how things are, a configuration that is taken whole or not at all,
//! an end when asked for it, and slots to the minute.

use std::{fs, io::Write as _, os::unix::net::UnixDatagram, time::Duration};

use chrono::TimeDelta;
use paperround::{
    admin::{self, Command},
    clock::{Clock as _, SystemClock},
};

use crate::harness::{
    app::{Setup, TestApp, sorted},
    arxiv::{Answer, status},
    papers::paper,
    program::{self, Serving, until},
    smtp::{Act, At, Script, say},
};

const ANA: &str = "ana@example.net";
const BO: &str = "bo@example.net";
const CY: &str = "cy@example.net";
const GNN_LINE: &str = r#"keywords = ["graph neural network"]"#;
/// How wide a terminal is, in characters, and how high: what is wider goes on in the next line.
const SCREEN: (usize, usize) = (120, 50);

async fn overview(app: &mut TestApp) -> String {
    let program = app.build().await;
    admin::execute(&program, &Command::Status { json: false }).await.output
}

/// How many lines of a terminal a text takes.
fn height(text: &str) -> usize {
    text.lines()
        .map(|line| line.chars().count().div_ceil(SCREEN.0).max(1))
        .sum()
}

/// Two hundred subscribers with two hundred keywords: on a good day, and on one when nothing works.
#[tokio::test]
async fn status_fits_one_screen_however_many_there_are_and_whatever_is_wrong() {
    const N: usize = 200;
    let who = |n: usize| format!("reader-{n:03}@example.net");
    let asking = Setup::new()
        .arxiv("source", "\"query\"")
        .arxiv("retry_budget", "\"1s\"");
    let setup = (0..N).fold(asking, |setup, n| {
        setup.subscriber(&who(n), &["graph neural network", &format!("keyword number{n}")])
    });
    let mut app = setup.start().await;
    app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.run_on("2026-02-10").await;
    let text = overview(&mut app).await;
    assert!(
        text.starts_with("All is well") && text.contains("200 subscribers"),
        "{text}"
    );
    assert!(text.contains("201 in all, the stalest complete 2026-02-10"), "{text}");
    assert!(height(&text) <= SCREEN.1 / 2, "{} lines:\n{text}", height(&text));

    // Some have left or are gone, some are paused; then the relay fails for everyone else, and arXiv for all
    // keywords but one.
    let program = app.build().await;
    for n in 0..30 {
        let (address, subscriber) = (who(n), who(N - 1 - n));
        admin::execute(
            &program,
            &Command::SuppressionAdd {
                address,
                evidence: "asked for by telephone".to_owned(),
            },
        )
        .await;
        admin::execute(
            &program,
            &Command::SubscriberPause {
                subscriber,
                until: None,
            },
        )
        .await;
    }
    drop(program);
    app.smtp
        .behaves(Script::default().fault(At::Rcpt, say("451 4.7.1 later")));
    app.announce("2026-02-12", [paper("A graph neural network for crystals")]);
    app.arxiv.answers(|asked| {
        let is_answered = asked.is_canary() || asked.asks_for("graph neural network");
        if is_answered { Answer::Ordinary } else { status(503) }
    });
    app.run_on("2026-02-13").await;
    let text = overview(&mut app).await;
    assert!(text.starts_with("Not all is well"), "{text}");
    for words in [
        "200 subscribers, 30 of them paused",
        " other keywords are incomplete since 2026-02-13",
        "digest reader-030@example.net#2 and 139 others are due after up to ",
        "451 4.7.1 later",
        "201 in all, 200 incomplete now",
        "140 due",
        "and 137 more; `paperround outbox list` has all",
        "30 by the operator",
        "and 27 more; `paperround suppression list` has all",
        "Next slots",
    ] {
        assert!(text.contains(words), "{words:?} in\n{text}");
    }
    assert!(height(&text) <= SCREEN.1, "{} lines:\n{text}", height(&text));
}

/// Ten subscribers, a mail to each of them every few seconds, and arXiv's calendar set to the machine's.
async fn ten_served() -> (TestApp, Serving) {
    let often = Setup::new()
        .line("schedule = \"*/3 * * * * *\"")
        .digest("empty", "\"send\"");
    let setup = (0..10).fold(often, |setup, n| {
        setup.subscriber_with(&format!("reader-{n}@example.net"), &[GNN_LINE])
    });
    let app = setup.start().await;
    app.arxiv.set_now(SystemClock.now());
    let serving = Serving::start(&app.config_path(), &["serve"]);
    serving.says("serving").await;
    (app, serving)
}

/// CASES 117. An editor or a slow copy that writes into the file itself, for longer than the file must be still.
#[tokio::test]
async fn a_file_that_is_written_slowly_in_place_is_taken_once_and_whole() {
    let (mut app, serving) = ten_served().await;
    app.setup = app.setup.clone().subscriber_with(ANA, &[GNN_LINE]);
    let text = app.setup.text(&app.arxiv, app.smtp.port);
    let mut file = fs::File::create(app.config_path()).expect("it can be written");
    for part in text.as_bytes().chunks(text.len() / 10 + 1) {
        file.write_all(part).expect("it can be written");
        tokio::time::sleep(Duration::from_millis(900)).await;
        let log = serving.log();
        assert!(!log.contains("stays in force") && !log.contains("reloaded"), "{log}");
    }
    drop(file);
    serving.says("configuration reloaded").await;
    let listed = program::run(&app.config_path(), &["subscriber", "list"]).await;
    assert_eq!(listed.out.lines().count(), 11, "{}", listed.out);
    assert!(listed.out.contains(ANA), "{}", listed.out);
    let log = serving.stopped().await;
    assert_eq!(log.matches("configuration reloaded").count(), 1, "{log}");
}

/// CASES 117. A copy that broke off: within a line it is no configuration, between two subscribers it is one of fewer.
#[tokio::test]
async fn a_file_that_is_cut_off_in_the_middle_removes_nobody() {
    let (app, serving) = ten_served().await;
    let text = app.setup.text(&app.arxiv, app.smtp.port);
    let between = text.find("[[subscriber]]\nemail = \"reader-5@").expect("she is in it");
    let within = between - "neural network\"]\n".len();
    fs::write(app.config_path(), &text[..within]).expect("it can be written");
    serving
        .says("the configuration is not reloaded; the former one stays in force")
        .await;
    let place = format!("config.toml:{}", text[..within].lines().count());
    assert!(serving.log().contains(&place), "{place} in {}", serving.log());
    fs::write(app.config_path(), &text[..between]).expect("it can be written");
    serving.says("it waits for SIGHUP").await;
    let n_mails = |n: usize| {
        let who = format!("reader-{n}@example.net");
        app.mails().iter().filter(|mail| mail.to == who).count()
    };
    let before: Vec<usize> = (0..10).map(n_mails).collect();
    until(|| (0..10).all(|n| n_mails(n) > before[n]), || serving.log()).await;
    fs::write(app.config_path(), &text).expect("it can be written");
    serving.signal("HUP").await;
    serving.says("n_changes=0").await;
    serving.stopped().await;
}

/// A mail that the relay never answers may take minutes to be given up. Who asks twice does not wait for it.
#[tokio::test]
async fn a_second_signal_ends_at_once_and_the_next_start_goes_on() {
    let app = Setup::new()
        .line("schedule = \"*/3 * * * * *\"")
        .subscriber_with(ANA, &[GNN_LINE])
        .start()
        .await;
    app.arxiv.set_now(SystemClock.now());
    let ids = app.arxiv.add_now([paper("A graph neural network for molecules")]);
    app.smtp.behaves(Script::default().fault(At::Dot, Act::Hang));
    let serving = Serving::start(&app.config_path(), &["serve"]);
    until(|| !app.smtp.commands("DATA").is_empty(), || serving.log()).await;
    serving.signal("TERM").await;
    serving.says("the mail in hand is finished").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = tokio::time::Instant::now();
    serving.signal("TERM").await;
    let (code, log) = serving.ended().await;
    assert!(asked.elapsed() < Duration::from_secs(10), "{log}");
    assert_eq!(code, Some(75), "{log}");
    assert!(log.contains("stopped at once, at the second signal"), "{log}");
    app.smtp.behaves(Script::default());
    let run = program::run(&app.config_path(), &["run"]).await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert_eq!(app.papers_of(ANA), ids);
}

/// A socket of the service manager's, and everything that is said to it.
fn manager(app: &TestApp, name: &str) -> (std::path::PathBuf, impl FnMut() -> String + use<>) {
    let path = app.path(name);
    let socket = UnixDatagram::bind(&path).expect("a socket can be made");
    socket.set_nonblocking(true).expect("it can be set");
    let mut said = String::new();
    let hear = move || {
        let mut bytes = [0; 4096];
        while let Ok(n) = socket.recv(&mut bytes) {
            said.push_str(&String::from_utf8_lossy(&bytes[..n]));
            said.push('\n');
        }
        said.clone()
    };
    (path, hear)
}

/// What systemd is told, and when: ready only when it can be reached, and never when it cannot serve.
#[tokio::test]
async fn the_service_manager_is_told_of_readiness_life_reload_and_stop() {
    let mut app = Setup::new()
        .line("schedule = \"0 0 8 1 1 *\"")
        .section("[web]\nlisten = \"127.0.0.1:0\"\npage = true")
        .subscriber_with(ANA, &[GNN_LINE])
        .start()
        .await;
    app.arxiv.set_now(SystemClock.now());
    let serve = |notify: &std::path::Path| {
        let mut command = program::command(&app.config_path(), &["serve"]);
        command.env("NOTIFY_SOCKET", notify);
        Serving::of(command)
    };
    let (path, mut heard) = manager(&app, "manager");
    let serving = serve(&path);
    until(|| heard().contains("READY=1"), || serving.log()).await;
    // The door is open by then.
    let status = program::run(&app.config_path(), &["status"]).await;
    assert!(
        serving.log().contains("command=\"status\""),
        "{}{}",
        status.err,
        serving.log()
    );
    until(|| heard().contains("WATCHDOG=1"), || serving.log()).await;
    serving.signal("HUP").await;
    until(
        || {
            heard()
                .split_once("STATUS=reading")
                .is_some_and(|(_, after)| after.contains("READY=1"))
        },
        || serving.log(),
    )
    .await;
    let good = fs::read_to_string(app.config_path()).expect("it was written");
    fs::write(app.config_path(), "schedule = [").expect("it can be written");
    serving.signal("HUP").await;
    let words = "STATUS=serving; the configuration file is not in force: ";
    until(|| heard().contains(words), || serving.log()).await;
    fs::write(app.config_path(), good).expect("it can be written");
    // A second one, on the same state, is not ready.
    let (other, mut heard_of_other) = manager(&app, "other");
    let (code, log) = serve(&other).ended().await;
    assert_eq!(code, Some(75), "{log}");
    assert!(!heard_of_other().contains("READY"), "{}", heard_of_other());
    serving.signal("TERM").await;
    assert_eq!(serving.ended().await.0, Some(0));
    assert!(heard().contains("STOPPING=1"), "{}", heard());
    // Nor one whose relay settings do not stand.
    app.setup = app.setup.clone().mail("host", "\"\"");
    app.write_config();
    let mut command = program::command(&app.config_path(), &["serve"]);
    command.env("NOTIFY_SOCKET", &other);
    let (code, log) = Serving::of(command).ended().await;
    assert_eq!(code, Some(78), "{log}");
    assert!(!heard_of_other().contains("READY"), "{}", heard_of_other());
}

/// CASES 127, 128. Each in their own zone: nothing a second before, the digest at the minute, no second one an hour later,
/// in the week in which the clocks go forward and in that in which they go back.
#[tokio::test]
async fn slots_come_to_the_minute_on_both_sides_of_each_change_of_the_clocks() {
    let check = async |zone: &str, weeks: [(&str, [&str; 3]); 2]| {
        let mut app = Setup::new()
            .digest("empty", "\"send\"")
            .subscriber_with(
                ANA,
                &[GNN_LINE, "schedule = \"08:30\"", &format!("timezone = {zone:?}")],
            )
            .start()
            .await;
        for (before, slots) in weeks {
            app.run_due_on(before).await;
            app.new_mails();
            for slot in slots {
                let at: chrono::DateTime<chrono::Utc> = slot.parse().expect("a moment");
                let offsets = [(-3600, 0), (-1, 0), (0, 1), (60, 0), (3600, 0)];
                for (offset, expected) in offsets {
                    app.run_due_on(&(at + TimeDelta::seconds(offset)).to_rfc3339()).await;
                    assert_eq!(app.new_mails().len(), expected, "{zone}, {offset} s from {slot}");
                }
            }
        }
    };
    // 29 March and 25 October 2026.
    let spring = ["2026-03-28T07:30:00Z", "2026-03-29T06:30:00Z", "2026-03-30T06:30:00Z"];
    let autumn = ["2026-10-24T06:30:00Z", "2026-10-25T07:30:00Z", "2026-10-26T07:30:00Z"];
    check(
        "Europe/Berlin",
        [("2026-03-27T12:00:00Z", spring), ("2026-10-23T12:00:00Z", autumn)],
    )
    .await;
    // 8 March and 1 November 2026.
    let spring = ["2026-03-07T13:30:00Z", "2026-03-08T12:30:00Z", "2026-03-09T12:30:00Z"];
    let autumn = ["2026-10-31T12:30:00Z", "2026-11-01T13:30:00Z", "2026-11-02T13:30:00Z"];
    check(
        "America/New_York",
        [("2026-03-06T18:00:00Z", spring), ("2026-10-30T18:00:00Z", autumn)],
    )
    .await;
}

/// Ana's pause stands in the file, Bo's is the operator's; Cy has none. What was found meanwhile comes in one digest.
#[tokio::test]
async fn a_pause_in_the_file_or_by_the_operator_ends_with_one_digest_of_all() {
    let mut app = Setup::new()
        .subscriber_with(ANA, &[GNN_LINE, "paused_until = 2026-02-12"])
        .subscriber_with(BO, &[GNN_LINE])
        .subscriber_with(CY, &[GNN_LINE])
        .start()
        .await;
    app.run_due_on("2026-02-08T12:00:00Z").await;
    let operator = async |app: &mut TestApp, command: Command| {
        let program = app.build().await;
        let reply = admin::execute(&program, &command).await;
        assert_eq!(reply.problems, Vec::<String>::new());
        reply.output
    };
    let subscriber = || BO.to_owned();
    operator(
        &mut app,
        Command::SubscriberPause {
            subscriber: subscriber(),
            until: None,
        },
    )
    .await;
    let listed = operator(&mut app, Command::SubscriberList { json: false }).await;
    for words in ["paused until 2026-02-12 00:00 UTC", "paused until `subscriber resume`"] {
        assert!(listed.contains(words), "{words} in {listed}");
    }
    let mut ids = Vec::new();
    for (evening, morning) in [("08", "09"), ("09", "10"), ("10", "11")] {
        let new = app.announce(
            &format!("2026-02-{evening}"),
            [paper("A graph neural network for molecules")],
        );
        ids.extend(new.clone());
        app.run_due_on(&format!("2026-02-{morning}T07:00:00Z")).await;
        let mails = app.new_mails();
        assert_eq!((mails.len(), mails[0].to.as_str(), mails[0].papers()), (1, CY, new));
    }
    ids.extend(app.announce("2026-02-11", [paper("A graph neural network for molecules")]));
    operator(
        &mut app,
        Command::SubscriberResume {
            subscriber: subscriber(),
        },
    )
    .await;
    app.run_due_on("2026-02-12T07:00:00Z").await;
    let mails = app.new_mails();
    assert_eq!(mails.len(), 3);
    for who in [ANA, BO] {
        let own: Vec<_> = mails.iter().filter(|mail| mail.to == who).collect();
        assert_eq!(own.len(), 1, "{who}");
        assert_eq!(sorted(own[0].papers()), ids, "{who}");
    }
    assert_eq!(app.papers_of(CY), ids);
}

/// Each thing that is tried has its name, its words and its time; nothing is sent.
#[tokio::test]
async fn check_online_names_each_thing_and_how_long_it_took() {
    let second = crate::harness::smtp::SmtpServer::start(Script::default()).await;
    let relay = format!(
        "[[mail.relay]]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"",
        second.port
    );
    let app = Setup::new()
        .section(&relay)
        .section("[web]\nlisten = \"127.0.0.1:0\"\npage = true")
        .subscriber_with(ANA, &[GNN_LINE])
        .start()
        .await;
    app.arxiv.set_now(SystemClock.now());
    let check = program::run(&app.config_path(), &["check", "--online"]).await;
    assert_eq!(check.code, Some(0), "{}{}", check.out, check.err);
    let tried = |text: &str, result: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(result));
        let named = lines.filter_map(|line| {
            let (name, time) = line.trim_start().split_once(" (")?;
            let (time, _) = time.split_once(" ms)")?;
            time.parse::<u64>().ok().map(|_| name.to_owned())
        });
        named.collect()
    };
    let relays = [app.smtp.port, second.port].map(|port| format!("mail through 127.0.0.1:{port}"));
    let [first_relay, second_relay] = &relays;
    assert_eq!(
        tried(&check.out, "ok "),
        ["state", "arXiv", first_relay, second_relay, "web"],
        "{}",
        check.out
    );
    for step in ["greeting: 220", "EHLO: 250"] {
        assert_eq!(check.out.matches(step).count(), 2, "{step} in {}", check.out);
    }
    second.behaves(Script::default().fault(At::Greeting, say("554 5.3.2 go away")));
    let check = program::run(&app.config_path(), &["check", "--online"]).await;
    assert_eq!(check.code, Some(1), "{}{}", check.out, check.err);
    assert_eq!(tried(&check.out, "failed "), [second_relay.as_str()], "{}", check.out);
    assert!(check.err.contains("554 5.3.2 go away"), "{}", check.err);
    for server in [&app.smtp, &second] {
        assert_eq!(server.commands("MAIL").len(), 0);
    }
}
