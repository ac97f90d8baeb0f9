//! Which program is read, and what it is made of, as far as the tables have come.

use std::collections::BTreeMap;

use super::kinds::Kind;
use super::packets::{Header, PACKET};
use super::sections::{Entry, ProgramMap, Sections, programs};

/// A program that the association table names.
#[derive(Debug)]
struct Program {
    number: u16,
    pid: u16,
    sections: Sections,
    map: Option<ProgramMap>,
}

/// The tables of a stream.
#[derive(Debug, Default)]
pub(super) struct Programs {
    association: Sections,
    named: Vec<Program>,
    chosen: Option<u16>,
}

/// More programs than a stream has: an association table holds 253 to a section.
const MAX_PROGRAMS: usize = 1 << 10;

impl Programs {
    /// Whether packets of this PID hold tables.
    pub(super) fn are_in(&self, pid: u16) -> bool {
        pid == 0 || self.named.iter().any(|program| program.pid == pid)
    }

    /// Takes a packet of a table. Returns whether the map of the program that is read has changed.
    pub(super) fn take(&mut self, header: &Header, payload: &[u8]) -> bool {
        if header.pid == 0 {
            let mut found = Vec::new();
            self.association.push(header.starts, payload, |section| {
                found.push((programs(section), section.get(6..8) == Some(&[0, 0])));
            });
            for (named, all) in found {
                self.associate(&named, all);
            }
            return false;
        }
        let mut changed = false;
        for program in self.named.iter_mut().filter(|program| program.pid == header.pid) {
            let Program { number, sections, map, .. } = program;
            sections.push(header.starts, payload, |section| {
                let new = ProgramMap::parse(section).filter(|map| map.number == *number);
                if new.is_some() && new != *map {
                    *map = new;
                    changed |= self.chosen == Some(*number);
                }
            });
        }
        changed
    }

    /// `all`: the section is the only one of its table.
    fn associate(&mut self, named: &[(u16, u16)], all: bool) {
        if all {
            self.named.retain(|program| named.contains(&(program.number, program.pid)));
        }
        for &(number, pid) in named {
            let known = self.named.iter().any(|program| (program.number, program.pid) == (number, pid));
            if !known && self.named.len() < MAX_PROGRAMS {
                self.named.push(Program { number, pid, sections: Sections::default(), map: None });
            }
        }
    }

    /// Takes the maps among these packets for those of all programs: the stream has no association table.
    pub(super) fn find<'a>(&mut self, packets: impl Iterator<Item = &'a [u8; PACKET]>) {
        let mut maps: BTreeMap<u16, Sections> = BTreeMap::new();
        let mut found = Vec::new();
        for packet in packets {
            let header = Header::of(packet);
            let payload = packet.get(header.payload..).unwrap_or_default();
            // `pointer_field`, and the first byte of the section that begins in the packet.
            let table = payload.first().and_then(|pointer| payload.get(1 + usize::from(*pointer)));
            if header.damaged || header.scrambled || !header.has_payload() {
                continue;
            }
            if header.starts && table == Some(&2) && maps.len() < MAX_PROGRAMS {
                maps.entry(header.pid).or_default();
            }
            if let Some(sections) = maps.get_mut(&header.pid) {
                sections.push(header.starts, payload, |section| {
                    found.extend(ProgramMap::parse(section).map(|map| (header.pid, map)));
                });
            }
        }
        for (pid, map) in found {
            self.associate(&[(map.number, pid)], false);
            if let Some(program) =
                self.named.iter_mut().find(|one| (one.number, one.pid) == (map.number, pid))
            {
                program.map = Some(map);
            }
        }
    }

    /// Whether the association table has come.
    pub(super) fn are_known(&self) -> bool {
        !self.named.is_empty()
    }

    /// The program that is read and the streams it has.
    pub(super) fn chosen(&self) -> Option<&ProgramMap> {
        let chosen = self.chosen?;
        self.named.iter().find(|program| program.number == chosen)?.map.as_ref()
    }

    /// Whether a program is read that the association table no longer names.
    pub(super) fn has_lost_chosen(&self) -> bool {
        self.chosen.is_some_and(|chosen| self.named.iter().all(|program| program.number != chosen))
    }

    /// Chooses the first program that `fits`. Maps in front of it that have not come are waited for unless `now`.
    pub(super) fn choose(&mut self, now: bool, fits: impl Fn(&ProgramMap) -> bool) -> bool {
        for program in &self.named {
            match &program.map {
                Some(map) if fits(map) => {
                    self.chosen = Some(program.number);
                    return true;
                }
                None if !now => return false,
                _ => {}
            }
        }
        false
    }

    /// Whether the map of every program has come.
    pub(super) fn are_mapped(&self) -> bool {
        self.are_known() && self.named.iter().all(|program| program.map.is_some())
    }

    /// The other programs, in words.
    pub(super) fn others(&self) -> impl Iterator<Item = String> {
        self.named.iter().filter(|program| Some(program.number) != self.chosen).map(|program| {
            let streams = program.map.as_ref().map(|map| format!(" ({})", streams_of(map)));
            format!("program {}{}", program.number, streams.unwrap_or_default())
        })
    }

    /// What all maps name, in words.
    pub(super) fn all_streams(&self) -> String {
        let all: Vec<_> =
            self.named.iter().filter_map(|program| program.map.as_ref()).map(streams_of).collect();
        all.join(", ")
    }
}

fn streams_of(map: &ProgramMap) -> String {
    let names: Vec<_> = map.entries.iter().map(|entry| Kind::of(entry, &map.descriptors).name()).collect();
    names.join(", ")
}

/// The streams of a program with what they carry.
pub(super) fn kinds(map: &ProgramMap) -> impl Iterator<Item = (&Entry, Kind)> {
    map.entries.iter().map(|entry| (entry, Kind::of(entry, &map.descriptors)))
}
