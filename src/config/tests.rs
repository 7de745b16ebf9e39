//! Whole configurations as literals, and the problem lines that they must give.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use crate::model::{Definition, TermKind};

use super::*;

/// The least configuration that can be used.
const LEAST: &str =
    "[mail]\nfrom = 'papers@example.org'\n[[subscriber]]\nemail = 'ana@example.net'\nkeywords = ['DARTS']\n";

/// Stands in for the matcher: one query cannot be read, one phrase deserves a warning.
fn check_term(term: &Term) -> Result<Vec<String>, String> {
    match term.text.as_str() {
        "a AND" => Err("column 6: a word is missing after AND".to_owned()),
        "the" => Ok(vec!["\"the\" fits nearly every paper".to_owned()]),
        _ => Ok(Vec::new()),
    }
}

struct Bench {
    dir: tempfile::TempDir,
    environment: Environment,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            dir,
            environment: Environment::default(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        restrict(&path, 0o600);
        path
    }

    fn load(&self, content: impl AsRef<[u8]>) -> Result<Loaded, Problems> {
        let path = self.write("config.toml", content);
        load(&path, &self.environment, &check_term)
    }

    /// The problems, one a line, without the folder's name.
    fn problems(&self, content: impl AsRef<[u8]>) -> String {
        match self.load(content) {
            Ok(_) => String::new(),
            Err(problems) => self.relative(&problems.to_string()),
        }
    }

    fn relative(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.dir.path().display()), "")
    }
}

#[cfg(unix)]
fn restrict(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn config(content: &str) -> Config {
    let loaded = Bench::new().load(content);
    loaded
        .unwrap_or_else(|problems| panic!("{problems}\nin\n{content}"))
        .config
}

/// Loads the text and compares every problem with the expected lines.
fn check(content: &str, expected: &[&str]) {
    assert_eq!(Bench::new().problems(content), expected.join("\n"), "in\n{content}");
}

/// Checks that the least configuration with further lines in `[mail]` and so on gives these problems.
fn check_more(more: &str, expected: &[&str]) {
    check(&format!("{LEAST}{more}"), expected);
}

/// The warnings of a configuration that can be used.
fn check_warnings(content: &str, expected: &[&str]) {
    let bench = Bench::new();
    let loaded = bench
        .load(content)
        .unwrap_or_else(|problems| panic!("{problems}\nin\n{content}"));
    let warnings: Vec<String> = loaded
        .warnings
        .iter()
        .map(|warning| bench.relative(&warning.to_string()))
        .collect();
    assert_eq!(warnings.join("\n"), expected.join("\n"), "in\n{content}");
}

#[test]
fn the_least_configuration_has_the_documented_defaults() {
    let config = config(LEAST);
    assert_eq!(config.schedule.to_string(), "0 7 * * * (UTC)");
    assert_eq!(config.arxiv.request_interval, Duration::from_secs(3));
    assert_eq!(config.arxiv.lookback, Duration::from_secs(45 * 86_400));
    assert_eq!(config.arxiv.response_bytes_max, 64 * 1024 * 1024);
    assert_eq!(config.digest.html_bytes_max, 90_000);
    assert_eq!(config.report.after, Duration::from_secs(48 * 3_600));
    assert_eq!(config.mail.envelope_sender, "papers@example.org");
    assert_eq!(config.store, StoreConfig::Sled);
    assert!(matches!(config.mail.transport, Transport::Maildir { .. }));
    assert!(config.web.listen.is_none());
    let dir = config.files[0].parent().unwrap().to_owned();
    assert_eq!(config.state_dir, dir.join("state"));
    assert_eq!(config.mail.token_key_file, dir.join("state/token-key"));
}

#[test]
fn a_misspelt_key_is_refused_with_the_nearest_one() {
    check(
        "shedule = \"0 0 8 * * *\"\n[[subscriptions]]\nemail = \"ana@example.net\"\nkeyword = [\"x\"]\n",
        &[
            "config.toml: has no subscriber; add a [[subscriber]] table with email and keywords",
            "config.toml:1: mail.from: is missing; write from = \"Paper round <papers@your-domain>\" below [mail]",
            "config.toml:1: shedule: there is no such key; did you mean \"schedule\"?",
            "config.toml:2: subscriptions: there is no such key; each subscriber is a [[subscriber]] table",
        ],
    );
    check_more(
        "keyword = ['x']\nschedul = '07:00'\n[arxiv]\ntimeouts = '3s'\nschedule = '07:00'\nfrobnicate = 1\n[smtp]\nhost = 'x'\n",
        &[
            "config.toml:6: subscriber.keyword: there is no such key; did you mean \"keywords\"?",
            "config.toml:7: subscriber.schedul: there is no such key; did you mean \"schedule\"?",
            "config.toml:9: arxiv.timeouts: there is no such key; did you mean \"timeout\"?",
            "config.toml:10: arxiv.schedule: there is no such key; schedule belongs to the top of the file, before the first [section]",
            "config.toml:11: arxiv.frobnicate: there is no such key; known here: api_url, contact, lookback, lookback_deep, oai_timeout, oai_url, page_size, request_interval, response_bytes_max, retry_budget, retry_delay, rss_url, source, timeout",
            "config.toml:12: smtp: there is no such key; the relay is set in [mail]",
        ],
    );
}

#[test]
fn one_bracket_or_two_is_explained() {
    let mail = "[mail]\nfrom = 'papers@example.org'\n";
    check(
        &format!("{mail}[subscriber]\nemail = 'ana@example.net'\nkeywords = 'x'\n"),
        &["config.toml:3: subscriber: [subscriber] has one bracket; write [[subscriber]] with two, once for each"],
    );
    check(
        &format!("{mail}[subscriber]\nemail = 'ana@example.net'\n[subscriber]\nemail = 'bo@example.net'\n"),
        &[
            "config.toml:5: [subscriber] stands here a second time; write [[subscriber]] with two brackets, once for each",
        ],
    );
    check_more(
        "[mail]\nverp = true\n",
        &["config.toml:6: [mail] stands here a second time; join the two sections"],
    );
    // What follows the name is not shown: a key on the same line may be a secret, or nothing that can be printed.
    check_more(
        "[ mail ] password = 'hidden'\u{2}\n",
        &["config.toml:6: [mail] stands here a second time; join the two sections"],
    );
    check_more(
        "[[arxiv]]\nsource = 'auto'\n",
        &["config.toml:6: arxiv: [[arxiv]] has two brackets; there is one such section: write [arxiv]"],
    );
    check(
        &format!("digest = 3\nsubscriber = 'ana@example.net'\n{mail}"),
        &[
            "config.toml:1: digest: is a whole number; expected a section: write [digest] on a line of its own",
            "config.toml:2: subscriber: is a string; expected a table: write [[subscriber]] on a line of its own",
        ],
    );
}

#[test]
fn one_keyword_needs_no_list() {
    let config = config(&LEAST.replace("['DARTS']", "\"graph neural network\""));
    assert_eq!(config.subscribers()[0].keywords[0].0, "graph neural network");
}

#[test]
fn files_of_windows_tools_are_read_or_explained() {
    let bench = Bench::new();
    let check = |content: &[u8], expected: &str| {
        assert_eq!(
            bench.problems(content),
            expected,
            "{:?}",
            String::from_utf8_lossy(content)
        );
    };
    check(format!("\u{feff}{LEAST}").as_bytes(), "");
    check(LEAST.replace('\n', "\r\n").as_bytes(), "");
    let utf16 = |mark: &[u8], swap: bool| {
        let units = LEAST
            .encode_utf16()
            .flat_map(|unit| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() });
        mark.iter().copied().chain(units).collect::<Vec<u8>>()
    };
    check(
        &utf16(&[0xff, 0xfe], false),
        "config.toml: is UTF-16; save the file as UTF-8",
    );
    check(
        &utf16(&[0xfe, 0xff], true),
        "config.toml: is UTF-16; save the file as UTF-8",
    );
    check(
        &utf16(&[], false),
        "config.toml: holds NUL bytes, as UTF-16 without a mark does; save the file as UTF-8",
    );
    check(
        b"timezone = 'UTC'\nname = 'Andr\xe9'\n",
        "config.toml:2: is not UTF-8 here; save the file as UTF-8",
    );
    check(
        format!("timezone = 'UTC'\n\u{feff}{LEAST}").as_bytes(),
        "config.toml:2: a byte order mark (U+FEFF) stands in the middle of the file; delete it; it is left when files are joined",
    );
    // The line of a problem is the one that an editor shows, whatever the line ends.
    check(
        format!("\u{feff}{LEAST}verb = 1\n").replace('\n', "\r\n").as_bytes(),
        "config.toml:6: subscriber.verb: there is no such key; known here: authors, categories, cross_lists, email, exclude, id, keywords, name, paused_until, schedule, shared, timezone",
    );
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_line_and_caret() {
    check(
        "timezone = 'UTC'\nschedule = \"0 7 * * *\nkeywords = ['x']\n",
        &[
            "config.toml:2: column 22: this is not TOML (invalid basic string, expected `\"`); mend this line or the one before",
            "    schedule = \"0 7 * * *",
            "                         ^",
        ],
    );
    check(
        "timezone = UTC\n",
        &[
            "config.toml:1: column 12: this is not TOML (string values must be quoted, expected literal string); mend this line or the one before",
            "    timezone = UTC",
            "               ^",
        ],
    );
    let bench = Bench::new();
    let error = load(&bench.path("absent.toml"), &bench.environment, &check_term).unwrap_err();
    assert!(error.to_string().contains("absent.toml: cannot be read"), "{error}");
}

#[test]
fn no_message_quotes_a_secret() {
    let broken = [
        "[mail]\npassword = \"hunter2\n",
        "[mail]\npassword = hunter2\n",
        "[mail]\npassword = 'hunter2'hunter2'\n",
        "[mail]\npassword = \"\\hunter2\"\n",
        "[mail]\npassword = \"\"\"\nhunter2\nx = hunter2\n",
        "[mail]\npassword = '''a\nhunter2''' hunter2\n",
        "[mail]\n# password = 'x'\npassword = [\n'a', hunter2 ]\n",
        "mail = { host = 'x', password = 'hunter2, tls = 'none' }\n",
        "mail.password = 12hunter2\n",
        "[store]\nurl = \"postgres://a:hunter2@db.example.org/x\n",
        "[report]\nping = \"https://ping.example.org/hunter2\n",
        "[mail]\npasword = hunter2\n",
        "[mail]\nPssword = hunter2\n",
    ];
    // Files that are TOML but cannot be used.
    let wrong = [
        "[mail]\npassword = ['hunter2']\n",
        "[mail]\npassword = 'hunter2'\npassword_file = 'x'\n",
        "[mail]\npassword = { hunter2 = 1 }\n",
        "[mail]\ntransport = 'smtp'\nhost = 'x'\npassword = 'hunter2'\n",
        "[mail]\ntransport = 'smtp'\nhost = 'x'\nusername = 'u'\npassword = \"hunter2\\nhunter2\"\n",
        "[mail]\npasword = 'hunter2'\n",
        "[store]\nurl = 'mysql://a:hunter2@db.example.org/x'\n",
        "[report]\nping = 'hunter2'\n",
        "[web]\npublic_url = 'https://a:hunter2@example.org'\n",
    ];
    for content in broken.iter().chain(&wrong) {
        let bench = Bench::new();
        let problems = bench.load(content).unwrap_err();
        for shown in [problems.to_string(), format!("{problems:?}")] {
            assert!(!shown.contains("hunter2"), "{shown}\nin\n{content}");
        }
    }
    let content = format!(
        "{}[store]\nbackend = 'postgres'\nurl = 'postgres://a:hunter2@db.example.org/x'\n[report]\nping = 'https://ping.example.org/hunter2'\n",
        LEAST.replace(
            "[mail]\n",
            "[mail]\ntransport = 'smtp'\nhost = 'smtp.example.org'\nusername = 'u'\npassword = 'hunter2'\n"
        )
    );
    let config = config(&content);
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn a_line_after_a_finished_password_is_quoted_again() {
    check(
        "[mail]\npassword = 'x'\nhost = smtp\n",
        &[
            "config.toml:3: column 8: this is not TOML (string values must be quoted, expected literal string); mend this line or the one before",
            "    host = smtp",
            "           ^",
        ],
    );
}

#[test]
fn passwords_are_taken_byte_for_byte() {
    let smtp = "[mail]\ntransport = 'smtp'\nhost = 'smtp.example.org'\nusername = 'papers'\n";
    let people = LEAST.replace("[mail]\n", smtp);
    let password = |config: Config| match config.mail.transport {
        Transport::Smtp(relays) => relays.first.credentials.map(|c| c.password.expose_secret().to_owned()),
        _ => None,
    };
    let inline = people.replace("username", "password = 'ab$C{x}%d#e\\f\"g'\nusername");
    assert_eq!(password(config(&inline)).as_deref(), Some("ab$C{x}%d#e\\f\"g"));

    let mut bench = Bench::new();
    bench.write("secret", " two words \n");
    let from_file = people.replace("username", "password_file = 'secret'\nusername");
    assert_eq!(
        password(bench.load(&from_file).unwrap().config).as_deref(),
        Some(" two words ")
    );

    bench.write("credentials/smtp-password", "of systemd\n");
    bench.environment.credentials_directory = Some(bench.path("credentials"));
    assert_eq!(
        password(bench.load(&people).unwrap().config).as_deref(),
        Some("of systemd")
    );
    let expected = "is given beside the systemd credential smtp-password; keep one of the two";
    assert_eq!(
        bench.problems(&from_file),
        format!("config.toml:4: mail.password_file: {expected}")
    );
    assert_eq!(
        bench.problems(&inline),
        format!("config.toml:4: mail.password: {expected}")
    );
}

#[test]
fn a_relay_that_cannot_work_is_refused() {
    let check = |keys: &str, expected: &[&str]| {
        check(
            &LEAST.replace("[mail]\n", &format!("[mail]\ntransport = 'smtp'\n{keys}\n")),
            expected,
        );
    };
    check(
        "",
        &["config.toml:1: mail.host: is missing for transport = \"smtp\"; write host = \"smtp.your-domain\""],
    );
    check(
        "host = 'smtp.example.org:587'",
        &[
            "config.toml:3: mail.host: \"smtp.example.org:587\" is not the name of a host; write the name alone, such as \"smtp.example.org\"; the port has a key of its own",
        ],
    );
    check("host = 'localhost'\ntls = 'none'\nusername = 'u'\npassword = 'p'", &[]);
    check(
        "host = 'smtp.example.org'\ntls = 'none'\nusername = 'u'\npassword = 'p'",
        &[
            "config.toml:5: mail.username: would go over the network unprotected with tls = \"none\"; set tls = \"starttls\" or \"implicit\", or remove username",
        ],
    );
    check("host = 'smtp.example.org'\ntls = 'none'", &[]);
    check(
        "host = 'smtp.example.org'\nusername = 'u'",
        &[
            "config.toml:4: mail.username: has no password; add password_file or password, or pass the systemd credential smtp-password",
        ],
    );
    check(
        "host = 'smtp.example.org'\npassword = 'p'",
        &["config.toml:4: mail.password: is given without username; add username, or remove it"],
    );
    check(
        "host = 'smtp.example.org'\npassword = 'p'\npassword_file = 'x'",
        &["config.toml:4: mail.password: is given beside password_file; keep one of the two"],
    );
    check(
        "host = 'smtp.example.org'\nport = 70000\nconnections = 0\ntls = 'ssl'\nauth = 'plian'\nhello = 'a b'\nserver = 'x'",
        &[
            "config.toml:4: mail.port: 70000 is out of range; allowed: 1 to 65535",
            "config.toml:5: mail.connections: 0 is out of range; allowed: 1 to 20",
            "config.toml:6: mail.tls: \"ssl\" is not known; allowed: implicit, starttls, none",
            "config.toml:7: mail.auth: \"plian\" is not known; did you mean \"plain\"? (allowed: auto, plain, login, xoauth2)",
            "config.toml:8: mail.hello: \"a b\" is not the name of a host; write this machine's full name, such as \"papers.example.org\"",
            "config.toml:9: mail.server: there is no such key; the relay's name is host",
        ],
    );
    let bench = Bench::new();
    let absent = LEAST.replace(
        "[mail]\n",
        "[mail]\ntransport = 'smtp'\nhost = 'h'\nusername = 'u'\npassword_file = 'gone'\nca_file = 'ca.pem'\n",
    );
    let problems = bench.problems(&absent);
    assert!(
        problems.contains("config.toml:5: mail.password_file: gone cannot be read (No such file"),
        "{problems}"
    );
    assert!(
        problems.contains("config.toml:6: mail.ca_file: ca.pem is not a file"),
        "{problems}"
    );
}

#[test]
fn each_further_relay_is_checked_in_its_place() {
    let check = |tables: &str, expected: &[&str]| {
        let first = "[mail]\ntransport = 'smtp'\nhost = 'a.example.org'\nusername = 'u'\npassword = 'p'\n";
        let text = LEAST.replace("[mail]\n", first);
        check(&format!("{text}\n{tables}"), expected);
    };
    let line = LEAST.lines().count() + 6;
    check("[[mail.relay]]\nhost = 'b.example.org'", &[]);
    check(
        "[[mail.relay]]\nhost = 'a.example.org'\nusername = 'v'\npassword = 'p'",
        &[],
    );
    check(
        "[[mail.relay]]\nhost = 'b.example.org'\n[[mail.relay]]\ntls = 'none'\nserver = 'c'\nconnections = 3\nusername = 'u'",
        &[
            &format!(
                "config.toml:{}: mail.relay.host: is missing for transport = \"smtp\"; write host = \"smtp.your-domain\"",
                line + 2
            ),
            &format!(
                "config.toml:{}: mail.relay.server: there is no such key; the relay's name is host",
                line + 4
            ),
            &format!(
                "config.toml:{}: mail.relay.connections: there is no such key; connections holds for all relays: write it in [mail]",
                line + 5
            ),
            &format!(
                "config.toml:{}: mail.relay.username: would go over the network unprotected with tls = \"none\"; set tls = \"starttls\" or \"implicit\", or remove username",
                line + 6
            ),
        ],
    );
    check(
        "[[mail.relay]]\nhost = 'a.example.org'\nusername = 'w'",
        &[&format!(
            "config.toml:{}: mail.relay.username: has no password; add password_file or password, or pass the systemd credential smtp-password-2",
            line + 2
        )],
    );
    check(
        "[[mail.relay]]\nhost = 'b.example.org'\n[[mail.relay]]\nhost = 'b.example.org'",
        &[&format!(
            "config.toml:{}: mail.relay: b.example.org:587 is there already; name another server, or remove it",
            line + 2
        )],
    );
    check(
        "[mail.relay]\nhost = 'b.example.org'",
        &[&format!(
            "config.toml:{line}: mail.relay: [mail.relay] has one bracket; write [[mail.relay]] with two, once for each"
        )],
    );
}

#[test]
fn further_relays_have_names_passwords_and_changes_of_their_own() {
    let text = "[mail]\nfrom = 'papers@example.org'\ntransport = 'smtp'\nhost = 'a.example.org'\nhello = 'me.example.org'\n\
                stage_timeout_max = '1m'\nusername = 'u'\n\
                [[mail.relay]]\nhost = 'a.example.org'\nusername = 'v'\n\
                [[mail.relay]]\nhost = 'b.example.org'\nport = 2525\nstage_timeout_max = '2m'\n\
                [[subscriber]]\nemail = 'ana@example.net'\nkeywords = ['x']\n";
    let mut bench = Bench::new();
    bench.write("credentials/smtp-password", "one\n");
    bench.write("credentials/smtp-password-2", "two\n");
    bench.environment.credentials_directory = Some(bench.path("credentials"));
    let before = bench.load(text).unwrap().config;
    let Transport::Smtp(relays) = &before.mail.transport else {
        panic!("{:?}", before.mail.transport)
    };
    let shown: Vec<_> = relays
        .iter()
        .map(|relay| {
            let password = relay
                .credentials
                .as_ref()
                .map(|c| c.password.expose_secret().to_owned());
            let hello = relay.hello.clone().unwrap();
            (relay.name.as_str(), password, hello, relay.stage_timeout_max.as_secs())
        })
        .collect();
    let me = || "me.example.org".to_owned();
    assert_eq!(
        shown,
        [
            ("a.example.org:587", Some("one".to_owned()), me(), 60),
            ("v@a.example.org:587", Some("two".to_owned()), me(), 60),
            ("b.example.org:2525", None, me(), 120),
        ]
    );
    bench.write("credentials/smtp-password-2", "changed\n");
    let after = bench.load(text.replace("port = 2525", "port = 2526")).unwrap().config;
    assert_eq!(
        diff(&before, &after).lines,
        [
            "mail.relay 3: b.example.org:2525, tls starttls, hello me.example.org, stage_timeout_max 2m becomes \
             b.example.org:2526, tls starttls, hello me.example.org, stage_timeout_max 2m",
            "mail: another password",
        ]
    );
}

#[test]
fn the_port_follows_from_tls() {
    let port = |tls: &str| {
        let keys = format!("[mail]\ntransport = 'smtp'\nhost = 'smtp.bücher.example'\ntls = '{tls}'\n");
        let config = config(&LEAST.replace("[mail]\n", &keys));
        match config.mail.transport {
            Transport::Smtp(relays) => (relays.first.port, relays.first.host),
            other => panic!("{other:?}"),
        }
    };
    let host = "smtp.xn--bcher-kva.example".to_owned();
    assert_eq!(port("implicit"), (465, host.clone()));
    assert_eq!(port("starttls"), (587, host.clone()));
    assert_eq!(port("none"), (25, host));
}

#[test]
fn nonsense_numbers_are_refused_with_the_allowed_range() {
    check_more(
        "[arxiv]\ntimeout = 0\noai_timeout = '0s'\nretry_delay = '-3s'\nlookback = '100000d'\npage_size = 0\nresponse_bytes_max = '1kB'\nretry_budget = 'soon'\n[digest]\npapers_max = -1\nhtml_bytes_max = 'big'\nauthors_max = 1.5\n",
        &[
            "config.toml:7: arxiv.timeout: \"0\" has no unit; write a string such as \"1s\"",
            "config.toml:8: arxiv.oai_timeout: \"0s\" is out of range; allowed: 1s to 30m",
            "config.toml:9: arxiv.retry_delay: \"-3s\" is out of range; allowed: 1s to 15m",
            "config.toml:10: arxiv.lookback: \"100000d\" is out of range; allowed: 1d to 365d",
            "config.toml:11: arxiv.page_size: 0 is out of range; allowed: 1 to 2000",
            "config.toml:12: arxiv.response_bytes_max: \"1kB\" is out of range; allowed: 64KiB to 1GiB",
            "config.toml:13: arxiv.retry_budget: \"soon\" is not a duration; write a number with s, m, h or d, such as \"30s\", \"20m\" or \"45d\"",
            "config.toml:15: digest.papers_max: -1 is out of range; allowed: 1 to 1000",
            "config.toml:16: digest.html_bytes_max: \"big\" is not a size; write bytes with a unit, such as \"90kB\" or \"64MiB\"",
            "config.toml:17: digest.authors_max: is a number with a fraction; expected a whole number, without quotes",
        ],
    );
    check_more(
        "[arxiv]\ntimeout = '99999999999999999999d'\npage_size = 99999999999999999999\nresponse_bytes_max = -1\n",
        &[
            "config.toml:7: arxiv.timeout: \"99999999999999999999d\" is not a duration; write a number with s, m, h or d, such as \"30s\", \"20m\" or \"45d\"",
            "config.toml:8: arxiv.page_size: 99999999999999999999 is out of range; allowed: 1 to 2000",
            "config.toml:9: arxiv.response_bytes_max: -1 is out of range; allowed: 64KiB to 1GiB",
        ],
    );
    check_more(
        "[arxiv]\nlookback = '60d'\nlookback_deep = '30d'\n",
        &["config.toml:8: arxiv.lookback_deep: 30d is less than lookback; write \"60d\" or more"],
    );
}

#[test]
fn arxiv_itself_is_asked_politely_or_not_at_all() {
    check_more(
        "[arxiv]\nrequest_interval = '1s'\napi_url = 'http://127.0.0.1:8080/api'\n",
        &[
            "config.toml:7: arxiv.request_interval: 1s is less than arXiv allows; write \"3s\" or more (less is for test servers: all three addresses on a loopback host)",
        ],
    );
    check_more(
        "[arxiv]\napi_url = 'http://export.arxiv.org/api/query'\noai_url = 'oaipmh.arxiv.org'\nrss_url = 'https://rss.arxiv.org/rss?x'\ncontact = 'ops'\n",
        &[
            "config.toml:7: arxiv.api_url: begins with http://; write https://: arXiv only redirects there",
            "config.toml:8: arxiv.oai_url: is not a web address such as https://example.org/path; the default is \"https://oaipmh.arxiv.org/oai\"",
            "config.toml:9: arxiv.rss_url: has a \"?\" or \"#\"; leave that part out: the daemon adds its own",
            "config.toml:10: arxiv.contact: \"ops\" is not a mail address: it has no @; write one address such as name@example.org",
        ],
    );
    let local = "[arxiv]\nrequest_interval = '0s'\nretry_delay = '5ms'\napi_url = 'http://127.0.0.1:1/api'\noai_url = 'http://[::1]:1/oai'\nrss_url = 'http://localhost:1/rss/'\n";
    let local = config(&format!("{LEAST}{local}"));
    assert!(local.arxiv.is_loopback() && !local.arxiv.is_real());
    assert_eq!(local.arxiv.rss_url, "http://localhost:1/rss");
    assert_eq!(local.contact_problem(), None);

    let problem = |contact: &str| config(&format!("{LEAST}[arxiv]\n{contact}\n")).contact_problem();
    assert!(problem("").unwrap().starts_with("arxiv.contact is not set"));
    for example in [
        "mailto:ops@example.org",
        "ops@mail.example.com",
        "https://example.net/papers",
    ] {
        let problem = problem(&format!("contact = '{example}'")).unwrap();
        assert!(problem.contains("is an example"), "{problem}");
    }
    assert_eq!(problem("contact = 'papers@uni-bonn.de'"), None);
    assert_eq!(problem("contact = 'https://papers.uni-bonn.de/'"), None);
}

#[test]
fn schedules_and_zones_are_checked_where_they_stand() {
    check(
        &format!(
            "schedule = '0 9 31 2 *'\ntimezone = 'Europe/Berln'\n{LEAST}schedule = '0 8 * *'\ntimezone = 'Mars'\npaused_until = 'later'\n"
        ),
        &[
            "config.toml:1: schedule: \"0 9 31 2 *\" never comes: no date fits its day, month and weekday; change one of them",
            "config.toml:2: timezone: \"Europe/Berln\" is not a time zone; did you mean \"Europe/Berlin\"?",
            "config.toml:8: subscriber.schedule: \"0 8 * *\" is not a schedule; write five fields (minute hour day month weekday) such as \"0 7 * * *\", or days and a time such as \"07:00\", \"weekdays 07:30\" or \"Mon,Thu 08:30\"",
            "config.toml:9: subscriber.timezone: \"Mars\" is not a time zone; use an IANA name such as \"Europe/Berlin\" or \"UTC\"",
            "config.toml:10: subscriber.paused_until: is not a date; write paused_until = 2026-12-24 or 2026-12-24T08:00:00, without quotes",
        ],
    );
}

#[test]
fn a_pause_ends_in_the_zone_of_the_subscriber() {
    let check = |value: &str, expected: &str| {
        let keys = format!("{LEAST}timezone = 'America/New_York'\npaused_until = {value}\n");
        let until = config(&keys).subscribers()[0].paused_until;
        assert_eq!(until, Some(expected.parse().unwrap()), "{value}");
    };
    check("2026-12-24", "2026-12-24T05:00:00Z");
    check("\"2026-12-24\"", "2026-12-24T05:00:00Z");
    check("2026-12-24T08:30:00", "2026-12-24T13:30:00Z");
    check("2026-12-24T08:30:00+01:00", "2026-12-24T07:30:00Z");
    check("2026-12-24 08:30:00Z", "2026-12-24T08:30:00Z");
    // The hour from two to three does not exist on this day.
    check("2026-03-08T02:30:00", "2026-03-08T05:00:00Z");
}

#[test]
fn blank_keywords_are_refused_and_single_letters_warned_of() {
    let mail = "[mail]\nfrom = 'papers@example.org'\n[[subscriber]]\nemail = 'ana@example.net'\n";
    check(
        &format!("{mail}keywords = [\"\", \"   \", \"\\\"\\\"\", \"a\", 5]\nexclude = ['']\nauthors = [' ']\n"),
        &[
            "config.toml:5: subscriber.keywords: \"\" is blank; write a word or remove it",
            "config.toml:5: subscriber.keywords: \"\\\"\\\"\" is blank; write a word or remove it",
            "config.toml:5: subscriber.keywords: is a whole number; expected a string in quotes",
            "config.toml:6: subscriber.exclude: \"\" is blank; write a word or remove it",
            "config.toml:7: subscriber.authors: \"\" is blank; write a word or remove it",
        ],
    );
    check(
        &format!("{mail}keywords = []\n"),
        &[
            "config.toml:5: subscriber.keywords: is an empty list; name a keyword, or remove the key to use those at the top of the file",
        ],
    );
    check(
        &format!("keywords = []\n{mail}"),
        &["config.toml:1: keywords: is an empty list; name a keyword, or remove the key"],
    );
    check(
        mail,
        &[
            "config.toml:3: subscriber.keywords: is missing, and the top of the file names none either; write keywords = [\"graph neural network\"]",
        ],
    );
    check(&format!("{mail}keywords = []\nauthors = ['Jane Doe']\n"), &[]);
    check(
        &format!("{mail}keywords = [\"x\\u001by\", \"x\\u202Ey\"]\n"),
        &[
            "config.toml:5: subscriber.keywords: \"x\\u{1b}y\" holds a control character (U+001B); delete it",
            "config.toml:5: subscriber.keywords: \"x\\u{202e}y\" holds an invisible character (U+202E); delete it",
        ],
    );
    check_warnings(
        &format!(
            "{mail}keywords = [\n 'a',\n 'the', 'C++',\n 'C++', 'R&D', 'F#', 'A/B testing', '100% renewable', 'what is 2+2=4?']\n"
        ),
        &[
            "config.toml:6: subscriber.keywords: \"a\" is a single letter and may fit a great many papers; restrict it by categories",
            "config.toml:7: subscriber.keywords: \"the\" fits nearly every paper",
            "config.toml:8: subscriber.keywords: \"C++\" stands twice in this list; remove one",
        ],
    );
}

#[test]
fn every_term_is_judged_in_its_place() {
    let table = "[[keyword]]\nname = 'A'\nquery = 'a AND'\n[[keyword]]\nquery = 'x'\n[[keyword]]\nname = 'B'\nquery = ''\n[[keyword]]\nname = 'C'\n[[keyword]]\nname = 'c'\n";
    check_more(
        &format!("exclude = ['a AND']\n{table}"),
        &[
            "config.toml:6: subscriber.exclude: column 6: a word is missing after AND",
            "config.toml:9: keyword.query: column 6: a word is missing after AND",
            "config.toml:10: keyword.name: is missing; subscribers refer to a [[keyword]] by its name",
            "config.toml:14: keyword.query: \"\" is blank; write a word or remove it",
            "config.toml:17: keyword: \"c\" is already the name of the keyword at config.toml:15; give each its own name; capitals alone do not tell names apart",
        ],
    );
}

#[test]
fn a_near_miss_of_a_named_keyword_is_warned_of() {
    let content = LEAST.replace(
        "['DARTS']",
        "['Nas', 'NAS', 'neural-architecture search', 'causality', 'NSA']",
    );
    check_warnings(
        &format!(
            "{content}[[keyword]]\nname = 'NAS'\nquery = 'x'\n[[keyword]]\nname = 'Neural Architecture Search'\n[[keyword]]\nname = 'causalty'\n"
        ),
        &[
            "config.toml: nobody refers to the [[keyword]] \"Neural Architecture Search\"; name it in a subscriber's keywords, or remove it",
            "config.toml: nobody refers to the [[keyword]] \"causalty\"; name it in a subscriber's keywords, or remove it",
            "config.toml:5: subscriber.keywords: \"Nas\" is read as a phrase; if the [[keyword]] \"NAS\" is meant, write it so",
            "config.toml:5: subscriber.keywords: \"causality\" is read as a phrase; if the [[keyword]] \"causalty\" is meant, write it so",
            "config.toml:5: subscriber.keywords: \"neural-architecture search\" is read as a phrase; if the [[keyword]] \"Neural Architecture Search\" is meant, write it so",
        ],
    );
}

#[test]
fn unknown_categories_are_refused() {
    check_more(
        "categories = ['cs.lg', 'cs', 'stats.ML', 'cs.*']\n",
        &[
            "config.toml:6: subscriber.categories: \"cs\" is not a category; write \"cs.*\" for all of cs",
            "config.toml:6: subscriber.categories: \"cs.lg\" is not a category; write \"cs.LG\": capitals matter",
            "config.toml:6: subscriber.categories: \"stats.ML\" is not a category; did you mean \"stat.ML\"?",
        ],
    );
}

#[test]
fn the_same_person_twice_is_refused_with_both_lines() {
    check_more(
        "[[subscriber]]\nemail = 'Ana <ANA@EXAMPLE.net>'\nkeywords = ['x']\n[[subscriber]]\nid = 'bo'\nemail = 'bo@example.net'\nkeywords = ['x']\n[[group]]\nkeywords = ['x']\nemails = [\n  'cy@example.net',\n  'BO@example.net',\n]\n[[subscriber]]\nid = 'Bo'\nemail = 'dee@example.net'\nkeywords = ['x']\n[[subscriber]]\nemail = 'ana+x@example.net'\nkeywords = ['x']\n",
        &[
            "config.toml:6: subscriber: \"ana@example.net\" is already subscribed at config.toml:3; one person gets one digest: join the keywords in one table",
            "config.toml:17: group.emails: \"bo@example.net\" is already subscribed at config.toml:9; one person gets one digest: join the keywords in one table",
            "config.toml:19: subscriber: \"bo\" is already subscribed at config.toml:9; one person gets one digest: join the keywords in one table",
        ],
    );
}

#[test]
fn addresses_and_names_are_checked_where_they_stand() {
    check(
        "keywords = 'x'\n[mail]\nfrom = 'Round, Paper <papers@example.org>'\nreply_to = 'nobody'\nenvelope_sender = 'B <b@example.org>'\n[[subscriber]]\nemail = 'ana@example.net, bo@example.net'\n[[subscriber]]\nname = \"Bo\\r\\nBcc: x@example.org\"\nemail = 'bo@example.net'\n[[subscriber]]\n[[group]]\nemails = []\n[[subscriber]]\nemail = 'Cy <cy@example.net>'\nname = 'Cyd'\n",
        &[
            "config.toml:3: mail.from: the name \"Round, Paper\" holds one of ( ) < > [ ] : ; @ \\ , \"; put it in quotes: '\"Round, Paper\" <papers@example.org>'",
            "config.toml:4: mail.reply_to: \"nobody\" is not a mail address: it has no @; write one address such as name@example.org",
            "config.toml:5: mail.envelope_sender: \"B <b@example.org>\" holds a name; write the address alone",
            "config.toml:7: subscriber.email: \"ana@example.net, bo@example.net\" holds more than one address; give each person a [[subscriber]] table, or list them as strings: [\"a@example.org\", \"b@example.org\"]",
            "config.toml:9: subscriber.name: \"Bo\\r\\nBcc: x@example.org\" holds a line break (U+000D); delete it",
            "config.toml:11: subscriber.email: is missing; write email = \"ana@example.org\"",
            "config.toml:12: group.emails: names nobody; write emails = [\"ana@example.org\"]",
            "config.toml:16: subscriber.name: differs from the name in email; give the name once",
        ],
    );
    let people = config(
        "keywords = 'x'\n[mail]\nfrom = 'Überblick-Bot <digest@bücher.example>'\n[[subscriber]]\nemail = '\"Müller, Anna\" <Anna+arxiv.ml@Bücher.example>'\n[[subscriber]]\nemail = 'käthe@example.net'\nname = 'Müller, Käthe'\n",
    );
    assert_eq!(people.mail.from.address, "digest@xn--bcher-kva.example");
    let shown: Vec<(String, String, Option<String>)> = people
        .subscribers()
        .into_iter()
        .map(|person| (person.id.to_string(), person.address, person.name))
        .collect();
    let text = str::to_owned;
    assert_eq!(
        shown,
        [
            (
                text("anna+arxiv.ml@xn--bcher-kva.example"),
                text("Anna+arxiv.ml@xn--bcher-kva.example"),
                Some(text("Müller, Anna"))
            ),
            (
                text("käthe@example.net"),
                text("käthe@example.net"),
                Some(text("Müller, Käthe"))
            ),
        ]
    );
}

#[test]
fn the_other_sections_refuse_what_cannot_work() {
    check_more(
        "[web]\nlisten = '127.0.0.1:70000'\npublic_url = 'http://papers.example.org'\n[store]\nbackend = 'postgres'\n[report]\nto = ['ops']\nafter = '0s'\nping = 'x'\n[page]\nmarkdown = 3\n[digest]\nlinks = [{ name = 'A', url = 'https://example.org/' }, { url = 'x' }, { name = 'B', url = 'https://{id}.example.org/' }, { name = 'C', url = 'https://example.org/{id}', icon = 'x' }, 5]\ntemplates_dir = 'gone'\nempty = 'never'\n",
        &[
            "config.toml:7: web.listen: \"127.0.0.1:70000\" is not an address with a port (1 to 65535); write \"127.0.0.1:8025\" or \"[::1]:8025\"",
            "config.toml:8: web.public_url: begins with http://; write https://: mail programs ignore anything else",
            "config.toml:9: store.url: is missing for backend = \"postgres\"; write \"postgres://paperround@db.example.org/paperround\"",
            "config.toml:12: report.to: \"ops\" is not a mail address: it has no @; write one address such as name@example.org",
            "config.toml:13: report.after: \"0s\" is out of range; allowed: 1m to 30d",
            "config.toml:14: report.ping: is not a web address such as https://example.org/path; write the address that the monitoring service gave you",
            "config.toml:16: page.markdown: is a whole number; expected a string in quotes",
            "config.toml:18: digest.links: a link needs name and url; write { name = \"alphaXiv\", url = \"https://www.alphaxiv.org/abs/{id}\" }",
            "config.toml:18: digest.links: is a whole number; expected a table in braces",
            "config.toml:18: digest.links: the url of a link lacks {id}; write { name = \"alphaXiv\", url = \"https://www.alphaxiv.org/abs/{id}\" }",
            "config.toml:18: digest.links: the url of a link must begin with https:// and a host without {id}; write { name = \"alphaXiv\", url = \"https://www.alphaxiv.org/abs/{id}\" }",
            "config.toml:18: digest.links.icon: there is no such key; known here: name, url",
            "config.toml:19: digest.templates_dir: gone is not a folder; make it, or remove the key",
            "config.toml:20: digest.empty: \"never\" is not known; allowed: skip, weekly, send",
        ],
    );
    check(
        &LEAST.replace("[[subscriber]]", "[mail.dkim]\nselector = 'a b'\n[[subscriber]]"),
        &[
            "config.toml:3: mail.dkim.domain: is missing; [mail.dkim] needs domain, selector and key_file",
            "config.toml:3: mail.dkim.key_file: is missing; [mail.dkim] needs domain, selector and key_file",
            "config.toml:4: mail.dkim.selector: \"a b\" is not a name in the DNS; write it like \"pr1\"",
        ],
    );
}

#[test]
fn mail_is_signed_by_one_key_or_by_several_each_under_its_own_selector() {
    let bench = Bench::new();
    for file in ["rsa.pem", "ed.pem"] {
        bench.write(file, "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n");
    }
    let with = |also: &str| {
        let dkim = format!("[mail.dkim]\ndomain = 'example.org'\nselector = 'pr1'\nkey_file = 'rsa.pem'\n{also}");
        bench.load(LEAST.replace("[[subscriber]]", &format!("{dkim}\n[[subscriber]]")))
    };
    let selectors = |also: &str| -> Vec<String> {
        let config = with(also).unwrap_or_else(|problems| panic!("{problems}")).config;
        let keys = config.mail.dkim.unwrap().keys;
        keys.into_iter().map(|key| key.selector).collect()
    };
    assert_eq!(selectors(""), ["pr1"]);
    assert_eq!(
        selectors("also = [{ selector = 'PR2', key_file = 'ed.pem' }]"),
        ["pr1", "pr2"]
    );
    assert_eq!(
        selectors("[[mail.dkim.also]]\nselector = 'pr2'\nkey_file = 'ed.pem'"),
        ["pr1", "pr2"]
    );
    let check = |also: &str, expected: &str| {
        let told = with(also).unwrap_err().to_string();
        assert!(told.contains(expected), "{also}: {told}");
    };
    check(
        "also = [{ selector = 'pr1', key_file = 'ed.pem' }]",
        "mail.dkim.also: the selector pr1 stands for two keys; give each key a selector of its own",
    );
    check(
        "also = [{ selector = 'pr2' }]",
        "mail.dkim.also: a key needs selector and key_file; write { selector = \"pr2\"",
    );
    check(
        "also = [{ selector = 'pr2', key_file = 'gone.pem' }]",
        "gone.pem cannot be read",
    );
    check(
        "also = [{ selector = 'a b', key_file = 'ed.pem' }]",
        "\"a b\" is not a name in the DNS",
    );
    check(
        "also = [{ selector = 'pr2', key_file = 'ed.pem', key = 'x' }]",
        "mail.dkim.also.key: there is no such key; name the file of the key: key_file",
    );
    check("also = 'pr2'", "expected a list of tables in braces");
}

#[test]
fn included_files_hold_people_and_keywords_only() {
    let bench = Bench::new();
    let main = "keywords = 'x'\ninclude = ['people.d/*.toml']\n[mail]\nfrom = 'papers@example.org'\n";
    let problems = bench.problems(main);
    assert!(
        problems.starts_with("config.toml:2: include: the folder people.d cannot be read"),
        "{problems}"
    );

    bench.write(
        "people.d/b.toml",
        "[[subscriber]]\nemail = 'bo@example.net'\nkeywords = 'NAS'\n",
    );
    bench.write(
        "people.d/a.toml",
        "[[keyword]]\nname = 'NAS'\nquery = 'q'\n[[group]]\nemails = 'ana@example.net'\n",
    );
    bench.write("people.d/.hidden.toml", "broken");
    bench.write("people.d/notes.txt", "broken");
    let config = bench.load(main).unwrap().config;
    let ids: Vec<String> = config
        .subscribers()
        .into_iter()
        .map(|person| person.id.to_string())
        .collect();
    assert_eq!(ids, ["bo@example.net", "ana@example.net"]);
    assert_eq!(config.subscribers()[0].keywords[0].1.term, Term::query("q"));
    assert_eq!(config.files.len(), 3);
    assert_eq!(config.include_dirs, [bench.path("people.d")]);

    bench.write(
        "people.d/c.toml",
        "schedule = '07:00'\n[mail]\nverp = true\n[[subscribers]]\n[[subscriber]]\nemail = 'BO@example.net'\n",
    );
    bench.write("people.d/d.toml", "[[subscriber]\n");
    assert_eq!(
        bench.problems(main),
        "people.d/c.toml:1: schedule: there is no such key; an included file holds [[subscriber]], [[group]] and [[keyword]] tables only\n\
         people.d/c.toml:2: mail: there is no such key; an included file holds [[subscriber]], [[group]] and [[keyword]] tables only\n\
         people.d/c.toml:4: subscribers: there is no such key; each subscriber is a [[subscriber]] table\n\
         people.d/c.toml:5: subscriber: \"bo@example.net\" is already subscribed at people.d/b.toml:1; one person gets one digest: join the keywords in one table\n\
         people.d/d.toml:1: column 14: this is not TOML (unclosed array table, expected `]`); mend this line or the one before\n    \
         [[subscriber]\n                 ^"
    );
    let nobody =
        bench.problems(LEAST.replace("[mail]", "include = ['*/x.toml', 'absent.toml', 'none-*.toml']\n[mail]"));
    assert!(
        nobody.contains("config.toml:1: include: \"*/x.toml\" has a wildcard in the name of a folder"),
        "{nobody}"
    );
    assert!(nobody.contains("absent.toml: cannot be read"), "{nobody}");
}

#[test]
fn paths_are_absolute_and_what_is_written_goes_to_systemds_directory() {
    let mut bench = Bench::new();
    let content = format!("{LEAST}[page]\nmarkdown = 'README.md'\njson = '/srv/papers.json'\n");
    let paths = |config: &Config| {
        let Transport::Maildir { dir } = &config.mail.transport else {
            panic!("{:?}", config.mail.transport)
        };
        (
            config.state_dir.clone(),
            dir.clone(),
            config.page.markdown.clone().unwrap(),
        )
    };
    let config = bench.load(&content).unwrap().config;
    assert_eq!(
        paths(&config),
        (bench.path("state"), bench.path("outbox"), bench.path("README.md"))
    );
    assert_eq!(config.page.json, Some(PathBuf::from("/srv/papers.json")));

    bench.environment.state_directory = Some(PathBuf::from("/var/lib/paperround"));
    let config = bench.load(&content).unwrap().config;
    let state = PathBuf::from("/var/lib/paperround");
    assert_eq!(
        paths(&config),
        (state.clone(), state.join("outbox"), state.join("README.md"))
    );
    assert_eq!(config.mail.token_key_file, state.join("token-key"));

    let config = bench.load(format!("state_dir = 'kept'\n{content}")).unwrap().config;
    assert_eq!(config.state_dir, bench.path("kept"));
}

#[cfg(unix)]
#[test]
fn an_inline_secret_in_an_open_file_is_warned_of() {
    let bench = Bench::new();
    let content = LEAST.replace("[mail]\n", "[mail]\npassword = 'hunter2'\n");
    let path = bench.write("config.toml", &content);
    let warnings = |mode| {
        restrict(&path, mode);
        load(&path, &bench.environment, &check_term).unwrap().warnings
    };
    assert_eq!(warnings(0o600), []);
    for mode in [0o640, 0o644, 0o604] {
        let warnings = warnings(mode);
        assert_eq!(warnings.len(), 1, "{mode:o}");
        assert!(
            warnings[0]
                .to_string()
                .contains("mail.password: stands in a file that others may read")
        );
    }
}

#[test]
fn people_are_resolved_with_their_own_and_the_common_settings() {
    let config = config(
        "keywords = ['common phrase']\nschedule = '06:00'\ntimezone = 'Asia/Tokyo'\n\
         [mail]\nfrom = 'papers@example.org'\n[digest]\ncross_lists = false\n\
         [[keyword]]\nname = 'NAS'\nquery = 'NAS AND x'\ncategories = ['cs.*']\nstemming = true\n\
         [[subscriber]]\nid = 'ana'\nemail = 'ana@example.net'\nname = 'Ana'\nkeywords = ['NAS', 'graph  neural network']\n\
         exclude = ['survey', 'review']\ncategories = ['math.IT', 'cs.LG']\nauthors = ['Jane Doe']\n\
         schedule = '30 8 * * Mon,Thu'\ntimezone = 'America/New_York'\nshared = true\n\
         [[group]]\nemails = ['bo@example.net', 'Cy <cy@example.net>']\ncross_lists = true\n",
    );
    let people = config.subscribers();
    assert_eq!(people.len(), 3);
    let ana = &people[0];
    assert_eq!(
        (&*ana.id.0, ana.name.as_deref(), ana.shared),
        ("ana", Some("Ana"), true)
    );
    assert_eq!(ana.schedule.to_string(), "30 8 * * Mon,Thu (America/New_York)");
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let own = texts(&["cs.IT", "cs.LG", "math.IT"]);
    let exclude = vec![Term::phrase("review"), Term::phrase("survey")];
    let nas = Term {
        stemming: true,
        ..Term::query("NAS AND x")
    };
    let expected = [
        (
            "NAS".to_owned(),
            Definition {
                term: nas,
                categories: vec![texts(&["cs.*"]), own.clone()],
                exclude: exclude.clone(),
                cross_lists: false,
            },
        ),
        (
            "graph neural network".to_owned(),
            Definition {
                term: Term::phrase("graph neural network"),
                categories: vec![own],
                exclude,
                cross_lists: false,
            },
        ),
        (
            "Jane Doe".to_owned(),
            Definition::unrestricted(Term::author("Jane Doe")),
        ),
    ];
    assert_eq!(ana.keywords().cloned().collect::<Vec<_>>(), expected);
    let cy = &people[2];
    assert_eq!(
        (&*cy.id.0, cy.name.as_deref(), cy.cross_lists),
        ("cy@example.net", Some("Cy"), true)
    );
    assert_eq!(cy.schedule.to_string(), "06:00 (Asia/Tokyo)");
    let common = Definition::unrestricted(Term::phrase("common phrase"));
    assert_eq!(cy.keywords, [Arc::new(("common phrase".to_owned(), common))]);
    assert_eq!(config.named_keywords(), [("NAS", 1)]);
    assert_eq!(cy.keywords[0].1.term.kind, TermKind::Phrase);
}

#[test]
fn a_keyword_has_exclusions_and_authors_of_its_own() {
    let content = "[mail]\nfrom = 'papers@example.org'\n\
                   [[keyword]]\nname = 'NAS'\nquery = 'NAS OR DARTS'\nexclude = ['survey', 'storage']\nauthors = ['Jane Doe']\n\
                   [[keyword]]\nname = 'Our group'\nauthors = ['Jane Doe', 'Bo \"B\" Roe']\ncategories = ['cs.*']\n\
                   [[subscriber]]\nemail = 'ana@example.net'\nkeywords = ['NAS', 'Our group']\nexclude = ['storage', 'game']\n";
    let config = Bench::new().load(content).unwrap().config;
    let ana = config.subscribers().remove(0);
    let written: Vec<(&str, &str)> = ana
        .keywords()
        .map(|(heading, definition)| (heading.as_str(), definition.term.text.as_str()))
        .collect();
    let expected = [
        ("NAS", "(NAS OR DARTS) OR au:\"Jane Doe\""),
        ("Our group", "au:\"Jane Doe\" OR au:\"Bo  B  Roe\""),
    ];
    assert_eq!(written, expected);
    let excluded = |index: usize| -> Vec<&str> {
        let terms = &ana.keywords[index].1.exclude;
        terms.iter().map(|term| term.text.as_str()).collect()
    };
    assert_eq!(excluded(0), ["game", "storage", "survey"]);
    assert_eq!(excluded(1), ["game", "storage"]);
    assert!(
        ana.keywords()
            .all(|(_, definition)| definition.term.kind == TermKind::Query)
    );
}

#[test]
fn a_reload_says_what_changes() {
    let before = "[mail]\nfrom = 'papers@example.org'\ntransport = 'smtp'\nhost = 'a.example.org'\nusername = 'u'\npassword = 'hunter2'\n\
                  [[subscriber]]\nid = 'ana'\nemail = 'ana@example.net'\nkeywords = ['x', 'y']\n\
                  [[group]]\nemails = ['bo@example.net', 'cy@example.net']\nkeywords = ['x']\n";
    let after = "state_dir = '/srv/state'\n[mail]\nfrom = 'papers@example.org'\ntransport = 'smtp'\nhost = 'b.example.org'\nusername = 'u'\npassword = 'hunter3'\n\
                 token_key_file = '/srv/key'\n\
                 [[subscriber]]\nid = 'ana'\nemail = 'ana@example.com'\nkeywords = ['y', 'z']\nexclude = ['survey']\npaused_until = 2026-12-24\n\
                 [[group]]\nemails = ['cy@example.net', 'dee@example.net']\nkeywords = ['x']\n";
    let bench = Bench::new();
    let [before, after] = [before, after].map(|content| bench.load(content).unwrap().config);
    assert!(diff(&before, &before).is_empty());
    let changes = diff(&before, &after);
    assert_eq!(
        bench.relative(&changes.lines.join("\n")),
        "mail.host: \"a.example.org\" becomes \"b.example.org\"\n\
         mail.token_key_file: state/token-key becomes /srv/key\n\
         state_dir: state becomes /srv/state\n\
         mail: another password\n\
         subscriber ana: another address, paused until 2026-12-24T00:00:00Z, without \"x\", \"y\" changed, with \"z\"\n\
         subscriber b…@example.net: removed; what is due to them is cancelled, nothing is deleted\n\
         subscriber d…@example.net: added\n\
         state_dir changes only at a restart"
    );
    assert_eq!(changes.needs_restart, ["state_dir"]);
    assert_eq!(
        changes.removed_subscribers,
        [crate::model::SubscriberId("bo@example.net".into())]
    );
    assert_eq!(changes.total_before, 3);
    assert!(changes.removes_many());
    assert!(!diff(&after, &after).removes_many());
}

/// The shipped file.
fn shipped() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config.toml")).unwrap()
}

#[test]
fn the_shipped_file_can_be_used_as_it_is() {
    let bench = Bench::new();
    let loaded = bench.load(shipped()).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    assert_eq!(config.state_dir, bench.path("state"));
    assert!(matches!(&config.mail.transport, Transport::Maildir { dir } if *dir == bench.path("outbox")));
    assert_eq!(config.subscribers().len(), 1);
    assert!(config.contact_problem().unwrap().contains("is an example"));
}

#[test]
fn every_commented_key_of_the_shipped_file_can_be_used_and_shows_its_default() {
    let bench = Bench::new();
    bench.write("subscribers.d/more.toml", "[[subscriber]]\nemail = 'dee@example.net'\n");
    bench.write("templates/digest.txt.j2", "");
    bench.write("relay-ca.pem", "");
    bench.write("smtp-password", "hunter2\n");
    bench.write("smtp-password-2", "hunter3\n");
    bench.write("database-password", "hunter2\n");
    bench.write("database-ca.pem", "");
    for file in ["dkim.pem", "dkim-ed25519.pem"] {
        bench.write(file, "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n");
    }
    let plain = bench.load(shipped()).unwrap().config.settings;

    let is_key = |line: &str| {
        line.strip_prefix('#')
            .is_some_and(|rest| rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()))
    };
    let n_keys = shipped().lines().filter(|line| is_key(line)).count();
    assert!(n_keys > 60, "{n_keys}");
    let uncommented: Vec<String> = shipped()
        .lines()
        .map(|line| {
            if is_key(line) {
                line[1..].to_owned()
            } else {
                line.to_owned()
            }
        })
        .collect();
    let here = format!("{}/", bench.dir.path().display());
    let whole = uncommented.join("\n").replace("/etc/paperround/", &here);
    for (from, to) in [
        ("\"maildir\"", "\"maildir\""),
        ("\"maildir\"", "\"smtp\""),
        ("\"maildir\"", "\"sendmail\""),
        ("\"sled\"", "\"postgres\""),
    ] {
        let whole = whole.replace(&format!(" = {from}"), &format!(" = {to}"));
        let loaded = bench.load(&whole).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(loaded.config.subscribers().len(), 5);
    }
    let full = bench.load(&whole).unwrap().config.settings;
    let examples = [
        "state_dir",
        "mail.token_key_file",
        "mail.envelope_sender",
        "digest.links",
        "report.to",
    ];
    for (key, default) in &plain {
        if default != "(none)" && !examples.contains(&key.as_str()) {
            assert_eq!(full.get(key), Some(default), "{key}");
        }
    }
    // Every key that is known stands in the file.
    let is_whole_table = |key: &&String| key.starts_with("mail.relay ");
    for key in full.keys().filter(|key| !is_whole_table(key)) {
        let name = key.rsplit('.').next().unwrap();
        let stands = uncommented.iter().any(|line| line.starts_with(&format!("{name} = ")));
        assert!(stands, "{key} is missing in config.toml");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_damage_to_a_file_makes_loading_panic(at in 0.0..1.0_f64, n_cut in 0_usize..40, put in "[-a-z0-9\\[\\]\"'=#{}.,\n\u{feff}\u{202e}é ]{0,12}") {
        let whole: Vec<char> = shipped().chars().collect();
        let start = (at * whole.len() as f64) as usize;
        let end = (start + n_cut).min(whole.len());
        let damaged: String = whole[..start].iter().copied().chain(put.chars()).chain(whole[end..].iter().copied()).collect();
        if let Err(problems) = Bench::new().load(&damaged) {
            prop_assert!(!problems.0.is_empty());
            prop_assert!(problems.0.iter().all(|problem| !problem.what.is_empty()));
        }
    }
}
