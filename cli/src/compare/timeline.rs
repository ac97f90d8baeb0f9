//! Quality over time in bounded memory: when there are more frames than dots on a screen, neighbours are merged and
//! the worst of them is kept.

/// Dots of a chart.
const DOTS: usize = 1024;

/// The worst score of each stretch of frames.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    dots: Vec<(f64, f64)>,
    /// Frames for each dot.
    stretch: u64,
    /// Frames in the last dot.
    filled: u64,
}

impl Timeline {
    pub(crate) const fn new() -> Self {
        Self { dots: Vec::new(), stretch: 1, filled: 1 }
    }

    pub(crate) fn add(&mut self, seconds: f64, score: f64) {
        if self.filled < self.stretch
            && let Some(last) = self.dots.last_mut()
        {
            last.1 = last.1.min(score);
            self.filled += 1;
            return;
        }
        if self.dots.len() == DOTS {
            let merge = |pair: &[(f64, f64)]| {
                let worst = pair.iter().map(|dot| dot.1).fold(f64::INFINITY, f64::min);
                pair.first().map(|dot| (dot.0, worst))
            };
            self.dots = self.dots.chunks(2).filter_map(merge).collect();
            self.stretch *= 2;
        }
        self.dots.push((seconds, score));
        self.filled = 1;
    }

    pub(crate) fn dots(&self) -> &[(f64, f64)] {
        &self.dots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_stays_and_the_worst_frame_is_kept() {
        let mut line = Timeline::new();
        for n in 0..100_000_u32 {
            line.add(f64::from(n), if n == 54_321 { 1.0 } else { 40.0 });
            assert!(line.dots().len() <= DOTS);
        }
        let worst: Vec<_> = line.dots().iter().filter(|dot| dot.1 < 2.0).collect();
        assert_eq!(worst.len(), 1);
        assert!((worst[0].0 - 54_321.0).abs() < 128.0, "{worst:?}");
        assert!(line.dots().len() > DOTS / 2);
        assert!(line.dots().is_sorted_by(|a, b| a.0 < b.0));
    }
}
