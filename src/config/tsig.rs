//! `tsig = { … }`: keys that sign messages of DNS.

use std::path::PathBuf;

use super::report::{At, Mark, Place, Report};
use super::table::Table;
use super::{TsigAlgorithm, TsigKey};
use crate::model::Fqdn;

/// A secret within the configuration itself.
pub(super) fn refuse_inline_secret(table: &mut Table<'_>, report: &mut Report<'_>) {
    for key in ["tsig.secret", "tsig.key"] {
        let Some(mark) = table.take_mark(key) else { continue };
        let hint =
            "write it into a file that only pointsman reads: secret_file = \"/etc/pointsman/tsig.key\"";
        report.key(&mark, format_args!("{key} would be a secret within the configuration"), hint);
        report.bad(&Mark { key: "tsig.secret_file", ..mark });
    }
}

/// The key, when all of it is there.
pub(super) fn tsig_key(
    name: Option<At<Fqdn>>,
    algorithm: Option<At<TsigAlgorithm>>,
    secret_file: Option<At<PathBuf>>,
    place: &Place,
    report: &mut Report<'_>,
) -> Option<TsigKey> {
    let whole = "tsig = { name = \"pointsman.\", algorithm = \"hmac-sha256\", \
                 secret_file = \"/etc/pointsman/tsig.key\" }";
    if report.is_bad_in(place, "tsig") {
        return None;
    }
    let (no_name, no_algorithm, no_file) = (name.is_none(), algorithm.is_none(), secret_file.is_none());
    let bad =
        ["tsig.name", "tsig.algorithm", "tsig.secret_file"].iter().any(|key| report.is_bad_in(place, key));
    if no_name && no_algorithm && no_file && !bad {
        report.missing(place, "tsig", format!("write {whole}"));
        return None;
    }
    for (missing, key) in
        [(no_name, "tsig.name"), (no_algorithm, "tsig.algorithm"), (no_file, "tsig.secret_file")]
    {
        if missing {
            report.missing(place, key, format!("write {whole}"));
        }
    }
    if let Some(file) = &secret_file {
        report.secret_file(file);
    }
    Some(TsigKey { name: name?.value, algorithm: algorithm?.value, secret_file: secret_file?.value })
}
