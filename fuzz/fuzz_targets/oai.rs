#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| paperround_fuzz::checks::oai(input));
