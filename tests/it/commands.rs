//! Every command line of the documents is run somewhere: here, by another test or by a script.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail with it")]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use crate::{
    docs::{DOCUMENTS, blocks, read},
    harness::{app::Setup, papers::paper, program},
};

const GUEST: &str = "tests/package/guest.sh";

/// A line of shell in the documents, the file that runs it, and the words there that do.
const RUN_BY: [(&str, &str, &str); 30] = [
    (
        ".ci/setup && cargo run --release -- demo",
        ".ci/run",
        "\"$binary\" demo --out",
    ),
    (".ci/run", "README.md", "passes all tests"),
    (
        "target/release/paperround check",
        "tests/it/commands.rs",
        "(\"check\", 0",
    ),
    (
        "target/release/paperround run --dry-run --out trial",
        "tests/it/commands.rs",
        "--dry-run --out TRIAL",
    ),
    ("cargo build --release", ".ci/run", "cargo build --locked --release"),
    (
        "sudo deploy/install",
        GUEST,
        "claim 'deploy/install installs from a build' deploy/install",
    ),
    (
        "sudo sh -c 'umask 077; cat > /etc/paperround/credentials/smtp-password'",
        GUEST,
        "> /etc/paperround/credentials/smtp-password",
    ),
    (
        "sudo paperroundctl check --online",
        GUEST,
        "paperroundctl check --online",
    ),
    (
        "sudo paperroundctl test-mail you@your-domain.org",
        GUEST,
        "paperroundctl test-mail ana+test@lab.example",
    ),
    ("sudo paperroundctl check", GUEST, "paperroundctl check\n"),
    (
        "sudo systemctl enable --now paperround",
        GUEST,
        "systemctl enable --now paperround",
    ),
    (
        "cargo build --release && deploy/package deb",
        "tests/package.sh",
        "deploy/package deb rpm",
    ),
    (
        "sudo apt install ./target/package/paperround_0.1.0-1_amd64.deb",
        GUEST,
        "dpkg --install /stage/paperround.deb",
    ),
    (
        "*/10 * * * *  papers  paperround --config /etc/paperround/config.toml --quiet run --due",
        "tests/it/commands.rs",
        "(\"--quiet run --due\", 0",
    ),
    ("sudo systemctl stop paperround", GUEST, "systemctl stop paperround"),
    ("sudo systemctl start paperround", GUEST, "systemctl start paperround"),
    (
        "sudo systemctl restart paperround",
        GUEST,
        "systemctl restart paperround",
    ),
    (
        "sudo tar -czf paperround-backup.tar.gz -C / etc/paperround var/lib/paperround",
        GUEST,
        "tar -czf paperround-backup.tar.gz -C / etc/paperround var/lib/paperround",
    ),
    ("sudo rm -r /var/lib/paperround", GUEST, "rm -r /var/lib/paperround"),
    (
        "sudo tar -xzf paperround-backup.tar.gz -C /",
        GUEST,
        "tar -xzf paperround-backup.tar.gz -C /",
    ),
    // What a clone does is not ours to try.
    ("git pull", "README.md", "git pull"),
    (
        "sudo systemctl disable --now paperround",
        GUEST,
        "systemctl disable --now paperround",
    ),
    (
        "sudo rm -r /usr/bin/paperround /usr/sbin/paperroundctl /etc/systemd/system/paperround.service",
        GUEST,
        "rm -r /usr/bin/paperround /usr/sbin/paperroundctl /etc/systemd/system/paperround.service",
    ),
    (
        "(echo 'keywords = ['; sed -n 's/^## \\(.*\\)$/  \"\\1\",/p' README.md; echo ']') > keywords.toml",
        "tests/it/commands.rs",
        "fn the_headings_of_a_page_become_keywords",
    ),
    (
        "cd /srv/daily-papers && paperroundctl export markdown > README.md && git add README.md && git commit --quiet --message 'Update papers' && git push --quiet",
        "tests/it/commands.rs",
        "fn a_page_is_published",
    ),
    (
        "PAPERROUND_FUZZ_CASES=1000000 cargo test --profile bench --lib --test it fuzz -- --nocapture",
        "fuzz/src/mutations.rs",
        "number(\"PAPERROUND_FUZZ_CASES\"",
    ),
    ("fuzz/run", "fuzz/run", "cases=20000"),
    ("fuzz/run --cases 1000000", "fuzz/run", "--cases"),
    ("fuzz/run --cases 1000000 query tex", "fuzz/run", "targets=(\"$@\")"),
    (
        "cp Cargo.lock fuzz/ && (cd fuzz && cargo metadata > /dev/null)",
        "fuzz/run",
        "cp Cargo.lock fuzz/",
    ),
];

#[test]
fn every_command_line_of_the_documents_is_run_somewhere() {
    let shown: BTreeSet<String> = DOCUMENTS
        .iter()
        .map(|document| read(document))
        .flat_map(|text| [blocks(&text, "sh"), blocks(&text, "")].concat())
        .flat_map(|block| lines(&block))
        .collect();
    for line in &shown {
        let is_known = RUN_BY.iter().any(|(known, ..)| known == line);
        assert!(is_known, "the documents show a command that nothing runs: {line}");
    }
    for (line, file, words) in RUN_BY {
        assert!(shown.contains(line), "no document shows {line} any more");
        assert!(read(file).contains(words), "{file} does not run {line} any more");
    }
}

/// The lines of a block, those that go on in the next one joined to it.
fn lines(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

/// Each command of the program, after one run, and words of what it says.
#[tokio::test]
async fn every_command_does_what_the_table_says() {
    const ANA: &str = "ana@example.net";
    let app = Setup::new().subscriber(ANA, &["graph neural network"]).start().await;
    let paper = app
        .announce("2026-02-09", [paper("A graph neural network for molecules")])
        .remove(0);
    let at = |name: &str| app.path(name).to_str().expect("text").to_owned();
    let names = [
        ("TRIAL", at("trial")),
        ("PAGE", at("README.md")),
        ("STATE", at("state.jsonl")),
        ("PAPER", paper),
    ];
    let cases = [
        ("check", 0, ""),
        ("check --online", 0, "arXiv"),
        ("run --now 2026-02-10T07:00:00Z --dry-run --out TRIAL", 0, "queued"),
        ("run --now 2026-02-10T07:00:00Z", 0, "accepted"),
        ("status", 0, "ell"),
        ("status --json", 0, "{"),
        ("why PAPER ana@example.net", 0, "molecules"),
        ("preview --days 7", 0, ""),
        ("preview --welcome --format text", 0, "graph neural network"),
        ("try molecules", 0, ""),
        ("test-mail bo@example.net", 0, "250"),
        ("export markdown --out PAGE", 0, ""),
        ("export bibtex", 0, "@"),
        ("outbox list --all", 0, "ana@example.net#1"),
        ("outbox show ana@example.net#1", 0, "250"),
        ("outbox retry nobody@example.net#1", 2, "no digest"),
        ("outbox drop nobody@example.net#1", 2, "no digest"),
        ("resend ana@example.net#1", 0, ""),
        ("suppression add bo@example.net", 0, "bo@example.net"),
        ("suppression list", 0, "bo@example.net"),
        ("suppression remove bo@example.net", 0, "bo@example.net"),
        ("subscriber list", 0, "ana@example.net"),
        ("subscriber pause ana@example.net", 0, "ana@example.net"),
        ("subscriber resume ana@example.net", 0, "ana@example.net"),
        ("subscriber forget bo@example.net", 2, "is not known"),
        ("bounce", 0, ""),
        ("state export --out STATE", 0, ""),
        // By the real calendar, by which the digest above is old and deleted.
        ("--quiet run --due", 0, ""),
        ("completions bash", 0, "complete"),
        ("man", 0, ".TH"),
        ("man paperround.toml", 0, ".TH"),
    ];
    let mut run = BTreeSet::new();
    for (line, code, words) in cases {
        let real = |word| {
            names
                .iter()
                .find(|(name, _)| *name == word)
                .map_or(word, |(_, real)| real.as_str())
        };
        let arguments: Vec<&str> = line.split(' ').map(real).collect();
        let ended = program::run(&app.config_path(), &arguments).await;
        assert_eq!(ended.code, Some(code), "{line}: {ended:?}");
        assert!(
            format!("{}{}", ended.out, ended.err).contains(words),
            "{line}: {ended:?}"
        );
        run.extend(line.split(' ').find(|word| !word.starts_with('-')));
    }
    // These two have tests of their own.
    run.extend(["demo", "serve"]);
    let definition = paperround::cli::definition();
    for command in definition.get_subcommands().filter(|command| !command.is_hide_set()) {
        assert!(
            run.contains(command.get_name()),
            "nothing runs `paperround {}`",
            command.get_name()
        );
    }
    assert!(
        fs::read_to_string(at("README.md"))
            .unwrap()
            .contains("## graph neural network\n")
    );
    assert!(fs::read_to_string(at("state.jsonl")).unwrap().lines().count() > 3);
    assert!(fs::read_dir(at("trial")).unwrap().count() >= 3);
}

#[test]
fn the_headings_of_a_page_become_keywords() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("README.md"),
        "# Daily Papers\n\nLast update: 2026-02-10\n\n## Time Series\n| **Title** |\n| --- |\n\n## Graph Neural Networks\n| x ## y |\n",
    )
    .unwrap();
    shell("(echo 'keywords = ['; sed", dir.path());
    let list: toml::Table = fs::read_to_string(dir.path().join("keywords.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let keywords: Vec<&str> = list["keywords"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(toml::Value::as_str)
        .collect();
    assert_eq!(keywords, ["Time Series", "Graph Neural Networks"]);
}

#[test]
fn a_page_is_published() {
    let dir = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let done = Command::new("git").current_dir(dir.path()).args(arguments).output();
        done.is_ok_and(|done| done.status.success())
    };
    let has_git = git(&["init", "--quiet", "--bare", "published"]) && git(&["clone", "--quiet", "published", "page"]);
    if !has_git {
        println!("skipped: git is absent");
        return;
    }
    let page = dir.path().join("page");
    fs::write(
        dir.path().join("config.toml"),
        "keywords = [\"time series\"]\n[mail]\nfrom = \"papers@example.org\"\n[[subscriber]]\nemail = \"ana@example.net\"\n",
    )
    .unwrap();
    shell("cd /srv/daily-papers", &page);
    assert!(git(&["clone", "--quiet", "published", "seen"]));
    let published = fs::read_to_string(dir.path().join("seen/README.md")).unwrap();
    assert!(
        published.starts_with("# Daily Papers\n") && published.contains("\n## time series\n"),
        "{published}"
    );
}

/// Runs the command line that begins so, in this folder instead of the one that it names.
fn shell(beginning: &str, dir: &Path) {
    let known = RUN_BY.iter().find(|(line, ..)| line.starts_with(beginning));
    let program = concat!(env!("CARGO_BIN_EXE_paperround"), " --config ../config.toml");
    let line = known
        .unwrap()
        .0
        .replace("/srv/daily-papers", ".")
        .replace("paperroundctl", program);
    let done = Command::new("sh")
        .current_dir(dir)
        .args(["-c", &line])
        .envs([("GIT_AUTHOR_NAME", "Ana"), ("GIT_AUTHOR_EMAIL", "ana@example.net")])
        .envs([
            ("GIT_COMMITTER_NAME", "Ana"),
            ("GIT_COMMITTER_EMAIL", "ana@example.net"),
        ])
        .output()
        .unwrap();
    assert!(done.status.success(), "{line}: {done:?}");
}
