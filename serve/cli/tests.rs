#![allow(clippy::unwrap_used)]

use clap::{CommandFactory, Parser};

use super::Cli;

#[test]
fn the_declaration_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn usage() {
    for good in [
        "serve --data d --listen 127.0.0.1:0 --listen [::1]:0 --auth none",
        "serve --data d --store s3://b/p --store-option aws_endpoint=http://x --wal store --state postgres://u@h/d --flush-after 5s",
        "sql --data d",
        "sql --data d --file q.sql --format parquet --output out.parquet --param 1 --param -2 --tenant t",
        "tables --data d cost_line --format markdown",
        "ingest ado events.json --data d",
        "ingest ado --organization https://dev.azure.com/acme --auth pat:env:PAT --project P --follow --data d",
        "ado subscribe --organization https://dev.azure.com/acme --auth mi --to https://h/hooks/ado --key env:KEY --dry-run",
        "key create ci --tenant acme --data d",
        "completions bash",
        "version",
    ] {
        Cli::try_parse_from(["stellwerk"].into_iter().chain(good.split(' '))).unwrap_or_else(|e| panic!("{good}: {e}"));
    }
    for wrong in [
        "",
        "serve --data d --listen nowhere",
        "ingest nothing x --data d",
        "sql --data d --format xml",
        "ingest ado --data d",
        "ingest ado --organization https://dev.azure.com/acme --data d",
        "serve --data d --flush-after soon",
        "sql a --file b --data d",
    ] {
        let error = Cli::try_parse_from(["stellwerk"].into_iter().chain(wrong.split(' '))).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{wrong}");
    }
}
