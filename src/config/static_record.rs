//! One record of an embedded zone, `NAME TTL TYPE DATA`, as in a zone file and stricter.
//!
//! The data is read by hickory's parser of zone files. What that passes over, and a person did not mean, is refused
//! before: a second value, what follows a `;`, an address where a name belongs.

use std::net::IpAddr;

use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use hickory_proto::serialize::binary::BinEncodable as _;
use hickory_proto::serialize::txt::Parser;

use super::StaticRecord;
use super::suggest::nearest;
use super::value::Wrong;
use crate::model::{Fqdn, NameError, Ttl};

const SHAPE: &str = "write NAME TTL TYPE DATA: \"ns1 300 A 192.0.2.53\" or \"www 300 CNAME demo\"";
const IN_QUOTES: &str = "put the text in quotes: '@ 300 TXT \"v=spf1 -all\"'";

/// A type of records that can be written.
struct Kind {
    name: &'static str,
    record_type: RecordType,
    /// How many parts its data has; none: any number.
    parts: Option<usize>,
    example: &'static str,
}

const KINDS: [Kind; 11] = [
    Kind::new("A", RecordType::A, Some(1), "www 300 A 192.0.2.53"),
    Kind::new("AAAA", RecordType::AAAA, Some(1), "www 300 AAAA 2001:db8::53"),
    Kind::new("CAA", RecordType::CAA, Some(3), "@ 300 CAA 0 issue \"ca.example\""),
    Kind::new("CNAME", RecordType::CNAME, Some(1), "www 300 CNAME demo"),
    Kind::new("MX", RecordType::MX, Some(2), "@ 300 MX 10 mail.example.com."),
    Kind::new("NS", RecordType::NS, Some(1), "sub 300 NS ns.example.com."),
    Kind::new("PTR", RecordType::PTR, Some(1), "1 300 PTR host.example.com."),
    Kind::new("SRV", RecordType::SRV, Some(4), "_sip._tcp 300 SRV 10 5 5060 sip.example.com."),
    Kind::new("SSHFP", RecordType::SSHFP, Some(3), "host 300 SSHFP 4 2 0123ABCD"),
    Kind::new("TLSA", RecordType::TLSA, None, "_443._tcp.www 300 TLSA 3 1 1 0123ABCD"),
    Kind::new("TXT", RecordType::TXT, None, "@ 300 TXT \"v=spf1 -all\""),
];

impl Kind {
    const fn new(
        name: &'static str,
        record_type: RecordType,
        parts: Option<usize>,
        example: &'static str,
    ) -> Self {
        Self { name, record_type, parts, example }
    }
}

/// Reads one record of the zone.
///
/// # Errors
/// When it is not `NAME TTL TYPE DATA`, or not within the zone, or is one that stands elsewhere: the zone's SOA and NS.
pub(super) fn parse(text: &str, zone: &Fqdn) -> Result<StaticRecord, Wrong> {
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(Wrong::new("has a line's end or another control character", SHAPE));
    }
    let mut rest = text.trim();
    let mut next = || {
        let (part, after) = rest.split_once(char::is_whitespace)?;
        rest = after.trim_start();
        Some(part)
    };
    let (Some(name), Some(ttl), Some(kind)) = (next(), next(), next()) else {
        return Err(Wrong::new("is not a record", SHAPE));
    };
    let name = owner(name, zone)?;
    let seconds = ttl.parse().ok().filter(|_| ttl.bytes().all(|digit| digit.is_ascii_digit()));
    let ttl = seconds.and_then(Ttl::from_seconds).ok_or_else(|| {
        Wrong::new(
            format!("has a TTL that is none: {ttl}"),
            "write the seconds, 1 to 2147483647, after the name",
        )
    })?;
    let data = data(kind_of(kind, &name, zone)?, rest, zone)?;
    Ok(StaticRecord { name, ttl, data })
}

/// The name that is written, which is relative to the zone unless it ends in a dot.
fn owner(written: &str, zone: &Fqdn) -> Result<Fqdn, Wrong> {
    let whole = match written {
        "@" => zone.to_string(),
        absolute if absolute.ends_with('.') => absolute.to_owned(),
        relative => format!("{relative}.{zone}"),
    };
    let name = Fqdn::parse(&whole).map_err(|NameError { problem, .. }| {
        Wrong::new(
            format!("has a name, {written}, that {problem}"),
            "write a name within the zone, \"www\", or \"@\" for the zone itself",
        )
    })?;
    if name.is_within(zone) {
        Ok(name)
    } else {
        let hint = format!("write a name that ends in {zone}, or one without a dot at its end");
        Err(Wrong::new(format!("is not within the zone {zone}"), hint))
    }
}

fn kind_of(word: &str, name: &Fqdn, zone: &Fqdn) -> Result<&'static Kind, Wrong> {
    let given = word.to_ascii_uppercase();
    if given == "SOA" {
        return Err(Wrong::new("is a SOA, which this server makes itself", "remove it"));
    }
    if given == "NS" && name == zone {
        let hint = "remove it, and name that server in ns = [\"ns1.localdev.me.\"]";
        return Err(Wrong::new("is an NS of the zone itself", hint));
    }
    let found = KINDS.iter().find(|known| known.name == given);
    found.ok_or_else(|| {
        let names = || KINDS.iter().map(|known| known.name);
        let hint = match nearest(&given, names()) {
            Some(near) => format!("the nearest type is {near}"),
            None => format!("write one of {}", names().collect::<Vec<_>>().join(", ")),
        };
        Wrong::new(format!("has a type that is none here: {word}"), hint)
    })
}

fn data(known: &Kind, text: &str, zone: &Fqdn) -> Result<RData, Wrong> {
    let Kind { record_type: kind, parts, .. } = *known;
    let written = parts_of(text)?;
    if let Some(parts) = parts.filter(|parts| *parts != written.len()) {
        let message = format!("has data of {} parts; {kind} takes {parts}", written.len());
        return Err(Wrong::new(message, "write each value as a record of its own; put a text in quotes"));
    }
    if let RecordType::CNAME | RecordType::MX | RecordType::NS | RecordType::PTR | RecordType::SRV = kind
        && let Some(target) = written.last()
        && (target.parse::<IpAddr>().is_ok()
            || target.strip_suffix('.').is_some_and(|t| t.parse::<IpAddr>().is_ok()))
    {
        let hint = "write a name, and give that name an A or AAAA record";
        return Err(Wrong::new(format!("has an address where {kind} takes a name"), hint));
    }
    // A `@` alone is the zone; the parser knows it as an owner only.
    let text = if parts.is_some() && kind != RecordType::CAA {
        let whole = |part: &&str| if *part == "@" { zone.to_string() } else { (*part).to_owned() };
        written.iter().map(whole).collect::<Vec<_>>().join(" ")
    } else {
        text.to_owned()
    };
    let cannot = |problem: &str| {
        Wrong::new(format!("has data that is no {kind}: {problem}"), format!("write '{}'", known.example))
    };
    let origin = Name::from_ascii(zone.as_str()).map_err(|_| cannot("the zone's name is too long"))?;
    let (_, mut sets) = Parser::new(format!("@ 1 IN {kind} {text}\n"), None, Some(origin))
        .parse()
        .map_err(|error| cannot(&error.to_string()))?;
    let set = sets.pop_first().map(|(_, set)| set);
    let record = set.as_ref().and_then(|set| set.records_without_rrsigs().next());
    let data = record.filter(|record| record.dns_class == DNSClass::IN).map(|record| record.data.clone());
    let data = data.ok_or_else(|| cannot("there is none"))?;
    if let RData::TXT(txt) = &data
        && txt.txt_data.iter().any(|string| string.len() > TXT_MAX)
    {
        let hint = "cut it into several texts in quotes, which readers join: \"…\" \"…\"";
        return Err(Wrong::new(format!("has a text of more than {TXT_MAX} bytes"), hint));
    }
    data.to_bytes().map_err(|error| cannot(&error.to_string()))?;
    Ok(data)
}

/// What DNS holds in one of the texts of a TXT record, in bytes.
const TXT_MAX: usize = 255;

/// The parts of the data, those in quotes with them.
fn parts_of(text: &str) -> Result<Vec<&str>, Wrong> {
    let mut parts = Vec::new();
    let mut start: Option<usize> = None;
    let mut quoted = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if quoted => {
                quoted = false;
                parts.extend(start.take().and_then(|start| text.get(start..=at)));
            }
            '"' if start.is_none() => (quoted, start) = (true, Some(at)),
            '\\' if quoted && chars.next_if(|(_, next)| matches!(next, '"' | '\\')).is_some() => {}
            '\\' => {
                return Err(Wrong::new(
                    "has a \\ that stands before neither \" nor \\ within quotes",
                    IN_QUOTES,
                ));
            }
            _ if quoted => {}
            '"' | ';' | '(' | ')' | '$' => {
                return Err(Wrong::new(format!("has a {c} outside of quotes"), IN_QUOTES));
            }
            c if c.is_whitespace() => parts.extend(start.take().and_then(|start| text.get(start..at))),
            _ => {
                start.get_or_insert(at);
            }
        }
    }
    if quoted {
        return Err(Wrong::new("has a quote that is not closed", IN_QUOTES));
    }
    parts.extend(start.and_then(|start| text.get(start..)));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Fqdn {
        Fqdn::parse("localdev.me.").unwrap()
    }

    fn read(text: &str) -> String {
        let record = parse(text, &zone()).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
        format!("{} {} {} {}", record.name, record.ttl.as_seconds(), record.data.record_type(), record.data)
    }

    fn refused(text: &str) -> String {
        parse(text, &zone()).expect_err(text).what
    }

    #[test]
    fn a_name_is_relative_to_the_zone_unless_it_ends_in_a_dot() {
        assert_eq!(read("ns1 300 A 192.0.2.53"), "ns1.localdev.me. 300 A 192.0.2.53");
        assert_eq!(read(" www\t300  cname  demo "), "www.localdev.me. 300 CNAME demo.localdev.me.");
        assert_eq!(read("a.localdev.me. 1 CNAME b.example."), "a.localdev.me. 1 CNAME b.example.");
        assert_eq!(read("@ 60 MX 10 @"), "localdev.me. 60 MX 10 localdev.me.");
        assert_eq!(read("*.w 60 AAAA 2001:DB8::1"), "*.w.localdev.me. 60 AAAA 2001:db8::1");
        assert_eq!(refused("a.example. 300 A 192.0.2.1"), "is not within the zone localdev.me.");
    }

    #[test]
    fn every_type_that_is_known_is_read_from_the_example_that_its_error_shows() {
        for Kind { name, record_type, example, .. } in KINDS {
            assert_eq!(parse(example, &zone()).unwrap().data.record_type(), record_type, "{name}");
        }
    }

    #[test]
    fn a_text_is_taken_as_it_stands_in_its_quotes() {
        let record = parse(r#"t 1 TXT "v=DKIM1; k=rsa" plain "say \"hé\" \\ (x)""#, &zone()).unwrap();
        let RData::TXT(txt) = record.data else { panic!("{record:?}") };
        let texts: Vec<_> = txt.txt_data.iter().map(|text| String::from_utf8_lossy(text)).collect();
        assert_eq!(texts, ["v=DKIM1; k=rsa", "plain", r#"say "hé" \ (x)"#]);
        let long = |bytes| format!("t 1 TXT \"{}\"", "x".repeat(bytes));
        assert!(parse(&long(255), &zone()).is_ok());
        assert_eq!(refused(&long(256)), "has a text of more than 255 bytes");
    }

    #[test]
    fn what_a_parser_of_zone_files_would_pass_over_is_refused() {
        for (text, what) in [
            ("www 300 A 192.0.2.1 192.0.2.2", "has data of 2 parts; A takes 1"),
            ("www 300 A", "is not a record"),
            ("www 300 TXT v=DKIM1; k=rsa", "has a ; outside of quotes"),
            ("www 300 TXT (a b)", "has a ( outside of quotes"),
            ("www 300 TXT \"a", "has a quote that is not closed"),
            ("www 300 TXT \"\\195\"", "has a \\ that stands before neither \" nor \\ within quotes"),
            ("www 300 A 192.0.2.1\n$INCLUDE /etc/passwd", "has a line's end or another control character"),
            ("www 300 CNAME $INCLUDE", "has a $ outside of quotes"),
            ("www 300 CNAME 192.0.2.1", "has an address where CNAME takes a name"),
            ("www 300 MX 10 192.0.2.1.", "has an address where MX takes a name"),
            ("@ 300 SOA a. b. 1 2 3 4 5", "is a SOA, which this server makes itself"),
            ("@ 300 NS ns1", "is an NS of the zone itself"),
            ("localdev.me. 300 ns ns1", "is an NS of the zone itself"),
            ("www 0 A 192.0.2.1", "has a TTL that is none: 0"),
            ("www 5m A 192.0.2.1", "has a TTL that is none: 5m"),
            ("www IN A 192.0.2.1", "has a TTL that is none: IN"),
            ("www 300 ANAME a.b.", "has a type that is none here: ANAME"),
            ("a..b 300 A 192.0.2.1", "has a name, a..b, that is not a DNS name: it has an empty label"),
        ] {
            assert_eq!(refused(text), what, "{text}");
        }
        assert!(refused("www 300 A 192.0.2").starts_with("has data that is no A: "));
        assert!(refused("www 300 MX x mail").starts_with("has data that is no MX: "));
    }
}
