//! What becomes of the streams when the tables come, and when they change.

use std::io::{Read, Seek};

use super::demux::MpegTsDemuxer;
use super::kinds::Kind;
use super::packets::Header;
use super::program::kinds;
use super::sections::ProgramMap;
use super::stream::Stream;
use super::video::Ending;
use crate::container::TrackId;
use crate::error::{Error, Result};
use crate::limits::Limit;

/// Whether a program has video that is read here.
fn has_video(map: &ProgramMap) -> bool {
    kinds(map).any(|(_, kind)| matches!(kind, Kind::Video(_)))
}

/// The same of sound.
fn has_sound(map: &ProgramMap) -> bool {
    kinds(map).any(|(_, kind)| matches!(kind, Kind::Sound(_)))
}

impl<R: Read + Seek + Send> MpegTsDemuxer<R> {
    /// The tables have changed, or come for the first time.
    pub(super) fn consider_tables(&mut self, at: u64, changed: bool) -> Result<()> {
        if self.streams.is_empty() {
            return self.choose(self.programs.are_mapped());
        }
        if changed {
            self.follow(at);
        } else if self.programs.has_lost_chosen() {
            let codecs: Vec<Kind> = self.streams.iter().map(|stream| stream.kind).collect();
            let pictures = codecs.iter().any(|kind| matches!(kind, Kind::Video(_)));
            let same = |map: &ProgramMap| {
                kinds(map)
                    .any(|(_, kind)| (matches!(kind, Kind::Video(_)) || !pictures) && codecs.contains(&kind))
            };
            if self.programs.choose(true, same) {
                self.follow(at);
            }
        }
        Ok(())
    }

    /// Begins with the first program that has video, or `now` with the first of those there are that can be read.
    pub(super) fn choose(&mut self, now: bool) -> Result<()> {
        if now && !self.programs.are_known() {
            self.programs.find(self.held.iter().map(|(_, packet)| packet));
            if self.programs.are_known() {
                self.notes.push(
                    "there is no program association table; the program maps were found without it"
                        .to_owned(),
                );
            }
        }
        let found = self.programs.choose(now, has_video) || (now && self.programs.choose(true, has_sound));
        if found { self.begin() } else { Ok(()) }
    }

    /// Makes streams of the chosen program and takes what came before it was known.
    fn begin(&mut self) -> Result<()> {
        let Some(map) = self.programs.chosen() else { return Ok(()) };
        let count = map.entries.len() as u64;
        self.limits.check(Limit::Tracks, count, format!("{}: streams of a program", self.path.display()))?;
        self.listed = kinds(map).map(|(entry, kind)| (entry.pid, kind)).collect();
        for (entry, kind) in kinds(map) {
            let id = TrackId(self.streams.len() as u32 + 1);
            match Stream::new(id, entry, kind, &self.limits)? {
                Some(stream) => self.streams.push(stream),
                None => self.notes.push(format!("PID {} ({}) is left out", entry.pid, kind.name())),
            }
        }
        for (at, packet) in std::mem::take(&mut self.held) {
            self.give(at, &Header::of(&packet), &packet);
        }
        Ok(())
    }

    /// Finds the streams again after a change of the program.
    fn follow(&mut self, at: u64) {
        let Some(map) = self.programs.chosen() else { return };
        let now: Vec<(u16, Kind)> = kinds(map).map(|(entry, kind)| (entry.pid, kind)).collect();
        let stays = |stream: &Stream| !stream.gone && now.contains(&(stream.pid, stream.kind));
        let mut taken: Vec<u16> = self.streams.iter().filter(|one| stays(one)).map(|one| one.pid).collect();
        // A stream that has been there until now is looked for before one that was gone.
        let mut others: Vec<usize> = (0..self.streams.len()).collect();
        others.retain(|number| self.streams.get(*number).is_some_and(|stream| !stays(stream)));
        others.sort_by_key(|number| self.streams.get(*number).is_some_and(|stream| stream.gone));
        for number in others {
            let Some(stream) = self.streams.get(number) else { continue };
            let (kind, old, id, gone) = (stream.kind, stream.pid, stream.id.0, stream.gone);
            let same = now.iter().filter(|(pid, found)| *found == kind && !taken.contains(pid));
            if let Some(&(pid, _)) = same.min_by_key(|(pid, _)| *pid != old) {
                taken.push(pid);
                self.with_stream(number, |stream, units| stream.moves_to(pid, units));
                if gone {
                    self.note_change(format!("track {id} ({}) goes on at byte {at}", kind.name()));
                }
                continue;
            }
            if !gone {
                self.lose(number, at, now.iter().find(|(pid, _)| *pid == old));
            }
        }
        let before = std::mem::replace(&mut self.listed, now.clone());
        for (pid, kind) in now {
            if !taken.contains(&pid) && !before.contains(&(pid, kind)) {
                let name = kind.name();
                self.note_change(format!(
                    "PID {pid} ({name}) joins the program at byte {at}, behind the start: it is left out"
                ));
            }
        }
    }

    /// The program has a stream no longer; `becomes` is what its PID carries now.
    fn lose(&mut self, number: usize, at: u64, becomes: Option<&(u16, Kind)>) {
        let Some(stream) = self.streams.get(number) else { return };
        let (name, id) = (stream.kind.name(), stream.id.0);
        let is_wanted = stream.selected && matches!(stream.kind, Kind::Video(_));
        self.with_stream(number, |stream, units| {
            stream.end(Ending::Whole, units);
            stream.gone = true;
        });
        let what = becomes.map_or_else(|| "ends".to_owned(), |(_, new)| format!("changes to {}", new.name()));
        let told = format!(
            "track {id} ({name}) {what} at byte {at}: the program has changed; what follows is left out"
        );
        // A program may change. Without its pictures little is left; other tracks have their say in the notes.
        if is_wanted {
            self.common.damage += 1;
            self.fault(Error::corrupt(told));
        } else {
            self.note_change(told);
        }
    }
}
