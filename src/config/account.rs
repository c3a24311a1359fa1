//! `[cloud.NAME]`: accounts.

use super::named::{Named, named, resolve};
use super::raw::CloudKeys;
use super::report::{At, Place, Report};
use super::table::Table;
use super::value::Id;
use super::words::CredentialsWord;
use super::{Cloud, CredentialsFrom, Endpoints};
use crate::model::CloudName;

/// All accounts, of all files.
pub(super) fn clouds(files: &mut [Table<'_>], report: &mut Report<'_>) -> Named<CloudName, Cloud> {
    named(files, "cloud", "main", CloudName::parse, cloud, report)
}

fn cloud(mut table: Table<'_>, report: &mut Report<'_>) -> Option<Cloud> {
    for (key, file) in [("secret_key", "secret_key_file"), ("security_token", "security_token_file")] {
        if let Some(mark) = table.take_mark(key) {
            let hint =
                format!("write it into a file that only pointsman reads: {file} = \"/etc/pointsman/{key}\"");
            report.key(&mark, format_args!("{key} would be a secret within the configuration"), hint);
        }
    }
    let keys = CloudKeys::take(&mut table, report);
    let place = table.place.clone();
    table.finish(report);
    if keys.region.is_none() {
        report.missing(&place, "region", "write the account's home region: region = \"cn-north-4\"");
    }
    let credentials = credentials(&keys, report);
    for file in [&keys.secret_key_file, &keys.security_token_file].into_iter().flatten() {
        report.secret_file(file);
    }
    let endpoint = |at: Option<At<super::endpoint::Endpoint>>| at.map(|at| at.value.0);
    let id = |at: Option<At<Id>>| at.map(|at| at.value.0);
    Some(Cloud {
        credentials: credentials?,
        region: id(keys.region)?,
        project_id: id(keys.project_id),
        domain_id: id(keys.domain_id),
        endpoints: Endpoints {
            iam: endpoint(keys.iam),
            elb: endpoint(keys.elb),
            eip: endpoint(keys.eip),
            dns: endpoint(keys.dns),
            metadata: endpoint(keys.metadata),
        },
    })
}

fn credentials(keys: &CloudKeys, report: &mut Report<'_>) -> Option<CredentialsFrom> {
    let from = keys.credentials.as_ref().map_or(CredentialsWord::Auto, |at| at.value);
    match (&keys.access_key, &keys.secret_key_file) {
        (Some(access_key), Some(secret_key_file)) => {
            if let Some(at) = keys.credentials.as_ref().filter(|at| at.value != CredentialsWord::Auto) {
                let message = format!("{}, and access_key names other credentials", report.shown(&at.mark));
                report.value(&at.mark, message, "remove one of the two");
            }
            Some(CredentialsFrom::Keys {
                access_key: access_key.value.clone(),
                secret_key_file: secret_key_file.value.clone(),
                security_token_file: keys.security_token_file.as_ref().map(|at| at.value.clone()),
            })
        }
        (Some(access_key), None) => {
            let hint =
                "write the secret key into a file, and add secret_key_file = \"/etc/pointsman/secret_key\"";
            report.lacks(&access_key.mark, "secret_key_file", hint);
            None
        }
        (None, Some(file)) => {
            report.lacks(&file.mark, "access_key", "add access_key = \"…\", the id of that key");
            None
        }
        (None, None) => {
            if let Some(token) = &keys.security_token_file {
                report.lacks(&token.mark, "access_key", "add access_key and secret_key_file");
            }
            Some(match from {
                CredentialsWord::Auto => CredentialsFrom::Auto,
                CredentialsWord::Environment => CredentialsFrom::Environment,
                CredentialsWord::File => CredentialsFrom::File,
                CredentialsWord::Agency => CredentialsFrom::Agency,
            })
        }
    }
}

/// The account that is named, or the only one there is; itself when it is good.
pub(super) fn resolve_cloud<'c>(
    given: Option<&At<CloudName>>,
    place: &Place,
    clouds: &'c Named<CloudName, Cloud>,
    report: &mut Report<'_>,
) -> Option<(CloudName, Option<&'c Cloud>)> {
    let (name, cloud) = resolve(given, ("cloud", "cloud"), place, clouds, CloudName::as_str, report)?;
    Some((name, cloud.as_ref()))
}
