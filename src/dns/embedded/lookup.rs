//! What a zone says to a question: RFC 1034, 4.3.2, with what RFC 2308, 4592, 6604 and 8482 made of it.
//!
//! Pure. Start at [`look_up`].

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::HINFO;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::content::{Content, NEGATIVE_TTL_S};

/// As many aliases are followed: more make a loop likelier than a purpose.
const ALIASES_MAX: usize = 8;

/// What stands in an answer.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) code: ResponseCode,
    /// Whether it is this zone's own word; a referral to another's servers is not.
    pub(super) authoritative: bool,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
    pub(super) additionals: Vec<Record>,
}

/// What the zone says of a name within it. The addresses of a set begin with another one by `turn`, so that clients, which take
/// the first, spread.
pub(super) fn look_up(content: &Content, name: &Name, record_type: RecordType, turn: u32) -> Found {
    let mut found = Found { authoritative: true, ..Found::default() };
    let mut name = name.clone();
    // The last turn only sees that there were too many.
    for _ in 0..=ALIASES_MAX {
        if !content.origin().zone_of(&name) {
            return found; // An alias that leads away: whoever asked goes on there.
        }
        if let Some(cut) = cut_above(content, &name, record_type) {
            // Below a cut we say who knows, and no more (RFC 1034, 4.2.1).
            found.authoritative = !found.answers.is_empty();
            found.authorities.extend_from_slice(content.set(&cut, RecordType::NS));
            found.additionals = addresses_of_targets(content, &found.authorities);
            return found;
        }
        let Some(source) = source_of(content, &name) else {
            found.code = ResponseCode::NXDomain;
            found.authorities.push(content.soa().clone());
            return found;
        };
        if record_type == RecordType::ANY {
            found.answers.push(not_any(&name));
            return found;
        }
        let own = |there: &Record| {
            let mut record = there.clone();
            record.name = name.clone();
            record
        };
        let set = content.set(&source, record_type);
        if !set.is_empty() {
            let mut set: Vec<Record> = set.iter().map(own).collect();
            let first = usize::try_from(turn).unwrap_or_default() % set.len();
            set.rotate_left(first);
            found.answers.append(&mut set);
            found.additionals = addresses_of_targets(content, &found.answers);
            return found;
        }
        let [alias] = content.set(&source, RecordType::CNAME) else {
            found.authorities.push(content.soa().clone());
            return found;
        };
        let RData::CNAME(target) = &alias.data else { return found };
        let target = target.0.clone();
        found.answers.push(own(alias));
        name = target;
    }
    Found { code: ResponseCode::ServFail, ..Found::default() }
}

/// The name at which another's part of the zone begins, when this name is in one. What the parent keeps of it, the DS, is
/// this zone's own.
fn cut_above(content: &Content, name: &Name, record_type: RecordType) -> Option<Name> {
    // `num_labels` leaves an asterisk out.
    let within = content.origin().iter().count() + 1..=name.iter().count();
    let cut =
        within.map(|labels| name.trim_to(labels)).find(|it| !content.set(it, RecordType::NS).is_empty())?;
    let is_the_parents = cut == *name && record_type == RecordType::DS;
    (!is_the_parents).then_some(cut)
}

/// The name whose records answer for this one: itself, or the wildcard of the nearest name above that is there.
fn source_of(content: &Content, name: &Name) -> Option<Name> {
    if content.has(name) {
        return Some(name.clone());
    }
    let mut above = name.base_name();
    while !content.has(&above) {
        if above.is_root() {
            return None;
        }
        above = above.base_name();
    }
    let wildcard = above.prepend_label("*").ok()?;
    content.has(&wildcard).then_some(wildcard)
}

/// The addresses that this zone has for the servers which those records name.
fn addresses_of_targets(content: &Content, records: &[Record]) -> Vec<Record> {
    let targets = records.iter().filter_map(|record| {
        if let RData::NS(server) = &record.data {
            Some(&server.0)
        } else if let RData::MX(mail) = &record.data {
            Some(&mail.exchange)
        } else if let RData::SRV(service) = &record.data {
            Some(&service.target)
        } else {
            None
        }
    });
    let types = [RecordType::A, RecordType::AAAA];
    let sets = targets.flat_map(|name| types.map(|record_type| content.set(name, record_type)));
    sets.flatten().cloned().collect()
}

/// To ANY there is one small answer (RFC 8482): all that a name has would be of use to whoever sends it to others.
fn not_any(name: &Name) -> Record {
    let data = RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()));
    Record::from_rdata(name.clone(), NEGATIVE_TTL_S, data)
}
