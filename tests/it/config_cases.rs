//! What `check` says of configurations that people really write.

use crate::harness::program::{self, Ended};

const LEAST: &str = "[arxiv]\ncontact = \"mailto:ops@example.org\"\n[mail]\nfrom = \"papers@example.org\"\n\
                     transport = \"maildir\"\n[[subscriber]]\nemail = \"ana@example.net\"\nkeywords = [\"RAG\"]\n";

async fn check_bytes(bytes: &[u8]) -> Ended {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let path = dir.path().join("config.toml");
    std::fs::write(&path, bytes).expect("the directory is writable");
    program::run(&path, &["check"]).await
}

/// Exit 78 and these words, each among the problems.
async fn refused(config: &str, words: &[&str]) {
    let ended = check_bytes(config.as_bytes()).await;
    assert_eq!(ended.code, Some(78), "{config}\n{}{}", ended.out, ended.err);
    for word in words {
        assert!(ended.err.contains(word), "{word:?} in\n{}", ended.err);
    }
}

/// Exit 0 and these words in what is printed.
async fn taken(config: &[u8], words: &[&str]) {
    let ended = check_bytes(config).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    for word in words {
        assert!(ended.out.contains(word), "{word:?} in\n{}", ended.out);
    }
}

/// CASES 115.
#[tokio::test]
async fn a_misspelt_key_is_named_with_its_line_and_the_nearest_one() {
    refused(
        &format!("shedule = \"0 8 * * *\"\n{LEAST}"),
        &["config.toml:1: shedule", "schedule"],
    )
    .await;
    let wrong = LEAST.replace("[[subscriber]]", "[[subscriptions]]");
    refused(&wrong, &["config.toml:6: subscriptions", "[[subscriber]]"]).await;
}

/// CASES 116.
#[tokio::test]
async fn files_of_windows_tools_are_taken_or_explained() {
    taken(format!("\u{feff}{LEAST}").as_bytes(), &["is in order"]).await;
    taken(LEAST.replace('\n', "\r\n").as_bytes(), &["is in order"]).await;
    let utf16: Vec<u8> = LEAST.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let ended = check_bytes(&[&[0xff, 0xfe], utf16.as_slice()].concat()).await;
    assert_eq!(ended.code, Some(78));
    assert!(ended.err.contains("UTF-8"), "{}", ended.err);
}

/// CASES 117.
#[tokio::test]
async fn a_broken_file_is_refused_and_never_replaced_by_defaults() {
    refused(&format!("{LEAST}name = \"Ana"), &["config.toml:9"]).await;
}

/// CASES 118.
#[tokio::test]
async fn a_table_in_place_of_a_list_of_tables_is_explained() {
    refused(&LEAST.replace("[[subscriber]]", "[subscriber]"), &["[[subscriber]]"]).await;
}

/// CASES 121.
#[tokio::test]
async fn nonsense_numbers_are_refused_with_the_allowed_range() {
    let wrong = LEAST.replace(
        "[mail]\n",
        "page_size = 0\ntimeout = \"0s\"\nlookback = \"100000d\"\n[mail]\nport = 70000\nhost = \"smtp.example.org\"\n",
    );
    refused(
        &wrong,
        &[
            "arxiv.page_size",
            "arxiv.timeout",
            "arxiv.lookback",
            "mail.port",
            "allowed",
        ],
    )
    .await;
}

/// CASES 122.
#[tokio::test]
async fn blank_keywords_are_refused_and_a_letter_is_warned_of() {
    refused(&LEAST.replace("[\"RAG\"]", "[\"\", \"   \"]"), &["config.toml:8"]).await;
    refused(&LEAST.replace("[\"RAG\"]", "[]"), &["keywords"]).await;
    let ended = check_bytes(LEAST.replace("[\"RAG\"]", "[\"a\"]").as_bytes()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("warning"), "{}", ended.err);
}

/// CASES 123.
#[tokio::test]
async fn the_same_person_twice_is_refused() {
    let twice = format!("{LEAST}[[subscriber]]\nemail = \"Ana <ANA@EXAMPLE.net>\"\nkeywords = [\"GNN\"]\n");
    refused(&twice, &["config.toml:9", "config.toml:6"]).await;
}

/// CASES 124, 125, 127.
#[tokio::test]
async fn five_and_six_fields_and_weekdays_are_read_and_the_next_times_shown_in_their_zone() {
    let with = |schedule: &str| format!("schedule = \"{schedule}\"\ntimezone = \"Asia/Tokyo\"\n{LEAST}").into_bytes();
    for schedule in [
        "0 8 * * *",
        "0 0 8 * * *",
        "08:00",
        "0 8 * * 1-5",
        "0 8 * * MON-FRI",
        "0 8 * * 0",
        "0 8 * * 7",
    ] {
        let ended = check_bytes(&with(schedule)).await;
        assert_eq!(ended.code, Some(0), "{schedule}: {}", ended.err);
        assert_eq!(
            ended.out.matches(" 08:00:00 JST").count(),
            3,
            "{schedule}: {}",
            ended.out
        );
        if schedule.ends_with("1-5") || schedule.ends_with("FRI") {
            assert!(
                !ended.out.contains("Sat ") && !ended.out.contains("Sun "),
                "{}",
                ended.out
            );
        }
        if schedule.ends_with(" 0") || schedule.ends_with(" 7") {
            assert_eq!(ended.out.matches("Sun ").count(), 3, "{}", ended.out);
        }
    }
    refused(
        &String::from_utf8(with("0 8 * *")).expect("it is text"),
        &["config.toml:1: schedule"],
    )
    .await;
    refused(
        &String::from_utf8(with("0 9 31 2 *")).expect("it is text"),
        &["config.toml:1: schedule"],
    )
    .await;
}

/// CASES 128.
#[tokio::test]
async fn a_misspelt_zone_is_refused_with_suggestions() {
    refused(&format!("timezone = \"Europe/Berln\"\n{LEAST}"), &["Europe/Berlin"]).await;
}

/// CASES 82, 83, 84, 87, 88, 89.
#[tokio::test]
async fn addresses_are_taken_in_every_script_and_lists_in_one_field_are_refused() {
    let with = |email: &str| LEAST.replace("email = \"ana@example.net\"", &format!("email = {email}"));
    for good in [
        "'José Núñez <jose@example.net>'",
        r#"'"Müller, Anna" <anna@example.net>'"#,
        "'ana+arxiv.ml@example.net'",
        "'k@bücher.example'",
    ] {
        taken(with(good).as_bytes(), &["1 subscriber"]).await;
    }
    refused(
        &with("'Müller, Anna <anna@example.net>'"),
        &["config.toml:7", "\"Müller, Anna\""],
    )
    .await;
    refused(&with("'ana@example.net, bo@example.net'"), &["config.toml:7"]).await;
}

/// CASES 119, 142. A secret with every awkward sign is taken as it is, and never shown, not even by an error beside it.
#[tokio::test]
async fn a_password_is_taken_byte_for_byte_and_never_shown() {
    let relay = "transport = \"smtp\"\nhost = \"smtp.example.org\"\nusername = \"papers\"\n";
    let password = r#"password = 'ab$C{x}%d#e\f"g'"#;
    let good = LEAST.replace("transport = \"maildir\"\n", &format!("{relay}{password}\n"));
    let ended = check_bytes(good.as_bytes()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let broken = LEAST.replace("transport = \"maildir\"\n", &format!("{relay}{password} oops\n"));
    let refused = check_bytes(broken.as_bytes()).await;
    assert_eq!(refused.code, Some(78));
    for text in [&ended.out, &ended.err, &refused.out, &refused.err] {
        assert!(!text.contains("C{x}"), "{text}");
    }
}
