//! The codes of the cloud's errors: one table, and the one function that classifies an answer by it.
//!
//! The table is data: code, class, source. The gateway in front of every service, the services, and the statuses that
//! speak for an answer without a known code. Start at [`classify`]; what a class leads to is in `class`.

use std::borrow::Cow;

use super::Api;
use super::class::Class;

/// Codes that mean the same, by one source.
#[derive(Debug)]
pub struct CodeRow {
    /// As an answer spells them; `*` at the end stands for any rest. The gateway's are here as `APIGW.…`.
    pub codes: &'static [&'static str],
    /// The row holds for answers with these statuses alone; with any, when there are none.
    pub statuses: &'static [u16],
    /// Their meaning.
    pub class: Class,
    /// A page of the vendor's, or the place where it was seen.
    pub source: &'static str,
}

const GATEWAY: &str = "published: API Request Signing Guide, error codes";
const IAM: &str = "published: IAM, error codes";
const ELB: &str = "published: ELB, error codes";
const EIP: &str = "published: EIP, error codes";
const DNS: &str = "published: DNS, error codes";
const SEEN: &str = "seen: issue threads of public tools";

const fn row(codes: &'static [&'static str], class: Class, source: &'static str) -> CodeRow {
    CodeRow { codes, statuses: &[], class, source }
}

const fn row_of(
    statuses: &'static [u16],
    codes: &'static [&'static str],
    class: Class,
    source: &'static str,
) -> CodeRow {
    CodeRow { codes, statuses, class, source }
}

/// Every code that is known. Of two rows that fit an answer the first one counts.
pub const ERROR_CODES: &[CodeRow] = &[
    // The gateway in front of every service. It calls itself `APIG` and `APIC` on some sites.
    row(&["APIGW.0101", "APIGW.0103"], Class::NotSaid, GATEWAY),
    row_of(&[502, 504], &["APIGW.0201"], Class::Fault, GATEWAY),
    row(
        &["APIGW.0104", "APIGW.0105", "APIGW.0106", "APIGW.0201", "APIGW.0602", "APIGW.0607"],
        Class::Malformed,
        GATEWAY,
    ),
    row(&["APIGW.0301", "APIGW.0305", "APIGW.0307", "APIGW.0311"], Class::Keys, GATEWAY),
    row(&["APIGW.0303"], Class::Clock, GATEWAY),
    row(
        &[
            "APIGW.0302",
            "APIGW.0304",
            "APIGW.0306",
            "APIGW.0310",
            "APIGW.0401",
            "APIGW.0402",
            "APIGW.0404",
            "APIGW.0801",
            "APIGW.0802",
        ],
        Class::Permission,
        GATEWAY,
    ),
    row(&["APIGW.0308"], Class::Throttled, GATEWAY),
    row(&["APIGW.0501", "APIGW.0502"], Class::Frozen, GATEWAY),
    row(
        &[
            "APIGW.0202",
            "APIGW.0601",
            "APIGW.0605",
            "APIGW.0606",
            "APIGW.0608",
            "APIGW.0609",
            "APIGW.0610",
            "APIGW.0611",
            "APIGW.0612",
            "APIGW.0613",
            "APIGW.0705",
        ],
        Class::Fault,
        GATEWAY,
    ),
    // Identities and policies.
    row(
        &[
            "IAM.0001", "IAM.0062", "IAM.0064", "IAM.0066", "IAM.0067", "IAM.1104", "IAM.1105", "IAM.1106",
            "IAM.1107", "IAM.1108", "IAM.1109",
        ],
        Class::Keys,
        IAM,
    ),
    row(&["IAM.0061"], Class::Locked, IAM),
    row(&["IAM.0002", "IAM.0003", "IAM.0080", "IAM.0081", "IAM.0082", "IAM.0083"], Class::Permission, IAM),
    row(&["IAM.0004"], Class::Missing, IAM),
    row(&["IAM.0005"], Class::Conflict, IAM),
    row(&["IAM.0006", "IAM.0020"], Class::Fault, IAM),
    row(&["IAM.0012"], Class::Throttled, IAM),
    row(&["PAP5.*", "EPS.0004"], Class::Permission, SEEN),
    // Load balancers.
    row(&["ELB.1102", "ELB.1103", "ELB.1104", "ELB.1105", "ELB.1109"], Class::Keys, ELB),
    row(
        &[
            "ELB.1091", "ELB.2001", "ELB.6091", "ELB.8962", "ELB.9800", "ELB.9801", "ELB.9802", "ELB.9803",
            "ELB.9804",
        ],
        Class::Permission,
        ELB,
    ),
    row(&["ELB.8904", "ELB.1002"], Class::Missing, ELB),
    row(&["ELB.8905", "ELB.9807"], Class::Quota, ELB),
    row(&["ELB.8907"], Class::Conflict, ELB),
    row(&["ELB.9899"], Class::Malformed, SEEN),
    row(&["ELB.8902", "ELB.1001", "ELB.1003", "ELB.1004"], Class::Malformed, ELB),
    row(
        &["ELB.8906", "ELB.6002", "ELB.1007", "ELB.1010", "ELB.2003", "ELB.30*", "ELB.40*", "ELB.90*"],
        Class::Fault,
        ELB,
    ),
    // Public addresses.
    row(&["VPC.0008"], Class::Keys, EIP),
    row(&["VPC.0005", "VPC.0009", "VPC.0010", "VPC.2201", "VPC.2701"], Class::Permission, EIP),
    row(&["VPC.0007", "VPC.0501", "EIP.7901"], Class::Malformed, EIP),
    row(&["VPC.0504"], Class::Missing, EIP),
    row(&["VPC.0510", "VPC.0511", "VPC.0512", "VPC.0517", "VPC.0522", "VPC.0532"], Class::Conflict, EIP),
    row(&["VPC.0521"], Class::Quota, EIP),
    row(&["VPC.0503", "VPC.0508", "VPC.0513", "VPC.0514", "VPC.0516"], Class::Fault, EIP),
    // Zones and record sets.
    row(&["DNS.0014"], Class::Throttled, DNS),
    row(
        &[
            "DNS.0016", "DNS.0021", "DNS.0208", "DNS.0209", "DNS.0211", "DNS.0212", "DNS.0312", "DNS.0314",
            "DNS.0503", "DNS.0704", "DNS.1607",
        ],
        Class::Conflict,
        DNS,
    ),
    row(&["DNS.0215", "DNS.0223", "DNS.0226", "DNS.0334", "DNS.0335", "DNS.0342"], Class::Conflict, SEEN),
    row(
        &["DNS.0004", "DNS.0302", "DNS.0313", "DNS.0711", "DNS.1206", "DNS.1604", "DNS.1906"],
        Class::Missing,
        DNS,
    ),
    row(&["DNS.0005"], Class::Keys, DNS),
    row(
        &[
            "DNS.0013", "DNS.0030", "DNS.0031", "DNS.0037", "DNS.0232", "DNS.0310", "DNS.0311", "DNS.1802",
            "DNS.1900",
        ],
        Class::Permission,
        DNS,
    ),
    row(&["DNS.0040"], Class::Permission, SEEN),
    row(&["DNS.0213", "DNS.0214", "DNS.2003", "DNS.2005", "DNS.2006"], Class::Frozen, DNS),
    row(
        &["DNS.0322", "DNS.0403", "DNS.0404", "DNS.0405", "DNS.0408", "DNS.0409", "DNS.1001", "DNS.2002"],
        Class::Quota,
        DNS,
    ),
    // Of a service behind it, some with a status of 400 or 404.
    row(
        &[
            "DNS.0000", "DNS.0001", "DNS.0003", "DNS.0012", "DNS.0015", "DNS.0022", "DNS.0023", "DNS.0024",
            "DNS.0025", "DNS.0026", "DNS.0034", "DNS.0035", "DNS.0036", "DNS.0205", "DNS.0207", "DNS.0504",
            "DNS.0710", "DNS.0805", "DNS.1110", "DNS.1801", "DNS.1901", "DNS.1902", "DNS.2000", "DNS.2001",
        ],
        Class::Fault,
        DNS,
    ),
    row(
        &[
            "DNS.0002", "DNS.0006", "DNS.0007", "DNS.0017", "DNS.0027", "DNS.0029", "DNS.0201", "DNS.0202",
            "DNS.0203", "DNS.0204", "DNS.0206", "DNS.0210", "DNS.0301", "DNS.0303", "DNS.0304", "DNS.0305",
            "DNS.0307", "DNS.0308", "DNS.0309", "DNS.0315", "DNS.0317", "DNS.0318", "DNS.0319", "DNS.0320",
            "DNS.0321", "DNS.0323", "DNS.0324", "DNS.0325", "DNS.0326", "DNS.0327", "DNS.0328", "DNS.0329",
            "DNS.0401", "DNS.0402", "DNS.0806", "DNS.1601", "DNS.1602",
        ],
        Class::Malformed,
        DNS,
    ),
];

/// The gateway's codes for a signature that is not right, which one that was made at another time is not either.
pub(super) const SAID_OF_TIME: [&str; 2] = ["APIGW.0301", "APIGW.0303"];

/// Parts of the text by which a refusal of keys says that the key is locked: more than five refusals in a row lock it for 5 min.
const LOCKED: [&str; 2] = ["reach the limit", "reached the limit"];

/// Classifies an answer with an error. The code counts first, then the status; of refused keys the text too, which alone tells
/// that the key is locked.
pub(super) fn classify(api: Api, status: u16, code: Option<&str>, message: &str) -> Class {
    let class = code.and_then(|code| of_code(status, code)).unwrap_or_else(|| of_status(api, status, code));
    if class == Class::Keys && is_locked(message) {
        return Class::Locked;
    }
    // Another service's code, or a gateway's in its name, says nothing of this one's objects.
    if class == Class::Missing && !code.is_some_and(|code| is_of(api, code)) {
        return Class::NotSaid;
    }
    class
}

/// Finds the class of a code that is in the table.
pub(super) fn of_code(status: u16, code: &str) -> Option<Class> {
    let code = as_the_table_spells(code);
    let row = ERROR_CODES.iter().find(|row| {
        row.codes.iter().any(|known| is_it(known, &code))
            && (row.statuses.is_empty() || row.statuses.contains(&status))
    });
    row.map(|row| row.class)
}

/// Returns true if a code is in the table, for any status.
pub(super) fn is_known(code: &str) -> bool {
    let code = as_the_table_spells(code);
    ERROR_CODES.iter().flat_map(|row| row.codes).any(|known| is_it(known, &code))
}

/// Returns true if a code is of the gateway in front of every service, by any of its names.
pub(super) fn is_the_gateways(code: &str) -> bool {
    as_the_table_spells(code).starts_with("APIGW.")
}

fn as_the_table_spells(code: &str) -> Cow<'_, str> {
    match code.strip_prefix("APIG.").or_else(|| code.strip_prefix("APIC.")) {
        Some(number) => Cow::Owned(format!("APIGW.{number}")),
        None => Cow::Borrowed(code),
    }
}

fn is_it(known: &str, code: &str) -> bool {
    match known.strip_suffix('*') {
        Some(start) => code.starts_with(start),
        None => known == code,
    }
}

fn of_status(api: Api, status: u16, code: Option<&str>) -> Class {
    match status {
        401 => Class::Keys,
        403 => Class::Permission,
        // IAM's older answers repeat the status as their code.
        404 if api == Api::Iam && code == Some("404") => Class::Missing,
        404 => Class::NotSaid,
        409 => Class::Conflict,
        429 => Class::Throttled,
        // The server gave up waiting, whatever it had done by then.
        408 => Class::Fault,
        400..500 => Class::Malformed,
        _ => Class::Fault,
    }
}

fn is_locked(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    LOCKED.iter().any(|text| message.contains(text))
}

/// Returns true if a code is one of the service's own.
fn is_of(api: Api, code: &str) -> bool {
    let own: &[&str] = match api {
        Api::Iam => &["IAM.", "404"],
        Api::Elb => &["ELB."],
        Api::Eip => &["VPC.", "EIP."],
        Api::Dns => &["DNS."],
    };
    own.iter().any(|own| code.starts_with(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    const APIS: [Api; 4] = [Api::Iam, Api::Elb, Api::Eip, Api::Dns];

    #[test]
    fn every_code_has_one_class_for_a_status_and_a_source() {
        for (place, row) in ERROR_CODES.iter().enumerate() {
            let is_marked = row.source.starts_with("published: ") || row.source.starts_with("seen: ");
            assert!(is_marked && !row.codes.is_empty(), "{row:?}");
            for code in row.codes {
                let earlier = ERROR_CODES[..place].iter().filter(|it| it.codes.contains(code));
                assert!(earlier.clone().all(|it| !it.statuses.is_empty()), "{code} is there twice");
                let status = row.statuses.first().copied().unwrap_or(400);
                assert_eq!(of_code(status, code.trim_end_matches('*')), Some(row.class), "{code}");
            }
        }
    }

    #[test]
    fn the_gateway_has_three_names() {
        for name in ["APIGW", "APIG", "APIC"] {
            let class =
                |status, number: &str| classify(Api::Elb, status, Some(&format!("{name}.{number}")), "");
            assert_eq!(class(429, "0308"), Class::Throttled, "{name}");
            assert_eq!(class(403, "0308"), Class::Throttled, "{name}");
            assert_eq!(class(404, "0101"), Class::NotSaid, "{name}");
            assert_eq!((class(413, "0201"), class(504, "0201")), (Class::Malformed, Class::Fault), "{name}");
            assert!(is_the_gateways(&format!("{name}.0308")), "{name}");
        }
        assert!(!is_the_gateways("ELB.8904"));
    }

    #[test]
    fn the_code_counts_before_the_status() {
        for (api, status, code, class) in [
            (Api::Dns, 403, "DNS.0014", Class::Throttled),
            (Api::Dns, 400, "DNS.0314", Class::Conflict),
            (Api::Dns, 500, "DNS.0209", Class::Conflict),
            (Api::Dns, 400, "DNS.0022", Class::Fault),
            (Api::Dns, 404, "DNS.0205", Class::Fault),
            (Api::Dns, 400, "DNS.0302", Class::Missing),
            (Api::Eip, 404, "VPC.0514", Class::Fault),
            (Api::Eip, 401, "VPC.0005", Class::Permission),
            (Api::Elb, 403, "ELB.1102", Class::Keys),
            (Api::Elb, 400, "ELB.3012", Class::Fault),
            (Api::Elb, 403, "PAP5.0011", Class::Permission),
            (Api::Iam, 400, "IAM.1108", Class::Keys),
            (Api::Iam, 410, "IAM.0020", Class::Fault),
            (Api::Dns, 405, "APIGW.0502", Class::Frozen),
        ] {
            assert_eq!(classify(api, status, Some(code), ""), class, "{code}");
        }
    }

    #[test]
    fn an_unknown_code_leaves_it_to_the_status() {
        for (status, class) in [
            (302, Class::Fault),
            (400, Class::Malformed),
            (401, Class::Keys),
            (403, Class::Permission),
            (404, Class::NotSaid),
            (408, Class::Fault),
            (409, Class::Conflict),
            (422, Class::Malformed),
            (429, Class::Throttled),
            (500, Class::Fault),
            (503, Class::Fault),
        ] {
            for code in [None, Some("XYZ.1234")] {
                assert_eq!(classify(Api::Elb, status, code, ""), class, "{status} {code:?}");
            }
        }
    }

    #[test]
    fn an_object_is_missing_by_a_code_of_its_own_service_alone() {
        for api in APIS {
            for (of, code) in [
                (Api::Iam, "IAM.0004"),
                (Api::Iam, "404"),
                (Api::Elb, "ELB.8904"),
                (Api::Eip, "VPC.0504"),
                (Api::Dns, "DNS.0313"),
            ] {
                let class = if of == api { Class::Missing } else { Class::NotSaid };
                assert_eq!(classify(api, 404, Some(code), ""), class, "{api} {code}");
            }
        }
    }

    #[test]
    fn the_text_tells_a_locked_key_from_a_wrong_one() {
        let said = |text: &str| classify(Api::Elb, 401, Some("APIGW.0301"), text);
        assert_eq!(said("verify aksk signature fail"), Class::Keys);
        assert_eq!(said("AK access failed to reach the limit, forbidden: AK X"), Class::Locked);
        assert_eq!(said("Access of the AK has REACHED the limit"), Class::Locked);
        // A limit of something else is none of the keys'.
        assert_eq!(classify(Api::Elb, 429, Some("APIGW.0308"), "reached the limit"), Class::Throttled);
    }
}
