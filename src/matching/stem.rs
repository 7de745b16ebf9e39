//! Matching by stems, for those who choose it: it joins "network" and "networks", but also "university"
//! and "universal".

use rust_stemmers::{Algorithm, Stemmer};

use super::normalise::Text;

/// Replaces every word by its English stem.
pub(crate) fn stemmed(text: Text<'_>) -> Text<'_> {
    let stemmer = Stemmer::create(Algorithm::English);
    text.map_words(|word| {
        // The stemmer knows English; other words would be cut at random.
        if word.bytes().all(|b| b.is_ascii_lowercase()) {
            stemmer.stem(word).into_owned()
        } else {
            word.to_owned()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relatives_share_a_stem() {
        let check = |input: &str, expected: &str| assert_eq!(stemmed(Text::new(input)).folded(), expected);
        check("Learned, learning", "learn, learn");
        check("Universities are universal", "univers are univers");
        check("4o é моделей", "4o e моделеи");
    }
}
