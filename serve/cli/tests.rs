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
        "model pull multilingual-e5-small hub:a/b ./folder --force",
        "model check --json",
        "serve --data d --embedder https://h/v1#m --embedder-key env:KEY --embedder-precision int8",
        "serve --data d --context-model https://h/v1#m --context-key env:KEY --context-tokens 32000",
        "index build --data d --context-model none",
        "eval retrieval d --context-model http://h/v1#m",
        "key create a --tenant acme --scope read,write --team web --role x --expires 90d --data d",
        "key rotate k1 --overlap 24h --expires 30d --data d",
        "tenant apply ./tenants --dry-run --prune --tenant acme --json --data d",
        "tenant show acme --data d",
        "audit verify --root a --root s3://b/c --option k=v --key ab --json --data d",
        "audit export --to a --format cef --from 7 --output f --data d",
        "audit prove 17 --data d",
        "audit prove --from 1 --to 2 --data d",
        "audit retire --older-than 365d --to a --dry-run --data d",
        "retention status --all --format json --retention r.yaml --data d",
        "hold add --table otel_* --tenant acme --subject ana@acme.example --reason m --data d",
        "hold release h1 --reason m --data d",
        "hold copy h1 s3://b/c --option k=v --lock 3650d --lock-mode compliance --data d",
        "hold copies --format json --data d",
        "hold check c1 --option k=v --data d",
        "erase --subject ana@acme.example --subject Ana --tenant acme --reason r --format json --data d",
        "erase approve e1 --key-file k --data d",
        "erase run e1 --data d",
        "erase list --data d",
        "backup create b --data d",
        "backup list s3://b/c --option k=v --format json",
        "backup list b --states",
        "backup state b --data d",
        "backup verify b --id x",
        "backup restore b --to 2026-11-01T06:00:00Z --whole --data d",
        "backup restore b --at 2026-11-01T06:00:00Z --data d --state postgres://u@h/d",
        "completions bash",
        "version",
    ] {
        let words = ["stellwerk"].into_iter().chain(good.split(' ')).map(Into::into).collect();
        Cli::try_parse_from(super::erase::spelled_out(words)).unwrap_or_else(|e| panic!("{good}: {e}"));
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
        "model pull",
        "serve --data d --embedder none --embedder-precision exact",
        "serve --data d --embedder https://h/v1#m --embedder-key sk-itself",
        "serve --data d --context-key env:KEY",
        "index status --data d --context-model none",
        "key create a --tenant acme --granted --data d",
        "audit prove --data d",
        "audit prove 3 --from 1 --data d",
        "audit export --output f --data d",
        "audit retire --to a --data d",
        "hold add --data d",
        "hold copy h1 --data d",
        "hold copy h1 b --lock-mode compliance --data d",
        "erase --subject a --data d",
        "erase approve --data d",
        "backup restore b --at soon --data d",
        "backup restore b --whole --data d",
        "backup restore b --at 2026-11-01 --id x --data d",
    ] {
        let error = Cli::try_parse_from(["stellwerk"].into_iter().chain(wrong.split(' '))).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{wrong}");
    }
}
