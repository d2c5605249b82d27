import { formatBytes } from '../../Models/format_bytes.ts';
import type { Progress } from '../client.ts';
import type { Screen } from './command.ts';
import { countOf, formatSeconds, grouped } from './format.ts';

const REDRAW_MS = 100;
const BAR_CELLS = 24;
const CLEAR_LINE = '\r\u001b[K';

/** One line on the terminal that is drawn over and over; nothing at all where nobody watches. */
export function createProgressLine(screen: Screen | null, now: () => number = () => performance.now()) {
  let drawnAt = Number.NEGATIVE_INFINITY;
  let isDrawn = false;
  return {
    update(progress: Progress): void {
      if (screen === null || now() - drawnAt < REDRAW_MS) return;
      drawnAt = now();
      isDrawn = true;
      screen.write(CLEAR_LINE + progressText(progress).slice(0, screen.columns - 1));
    },
    clear(): void {
      if (isDrawn) screen?.write(CLEAR_LINE);
      isDrawn = false;
    },
  };
}

/** For example `█████░░░░░  42 %  1,234 of 10,000 files  12.3 MB of 29.0 MB  5.6 MB/s  3 s left`. */
export function progressText({ filesDone, filesTotal, bytesDone, bytesTotal, bytesPerSecond }: Progress): string {
  const share = shareDone({ filesDone, filesTotal, bytesDone, bytesTotal });
  const parts = [
    filesTotal === null ? countOf(filesDone, 'file') : `${grouped(filesDone)} of ${countOf(filesTotal, 'file')}`,
    bytesTotal === null ? formatBytes(bytesDone) : `${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)}`,
    `${formatBytes(bytesPerSecond)}/s`,
  ];
  if (share !== null) parts.unshift(bar(share), `${String(Math.floor(share * 100)).padStart(3)} %`);
  if (bytesTotal !== null && bytesPerSecond > 0 && bytesDone < bytesTotal) {
    parts.push(`${formatSeconds((bytesTotal - bytesDone) / bytesPerSecond)} left`);
  }
  return parts.join('  ');
}

/** By bytes where there are any, else by files. @returns 0 to 1, `null` while the whole is not known */
function shareDone({ filesDone, filesTotal, bytesDone, bytesTotal }: Omit<Progress, 'bytesPerSecond'>): number | null {
  if (filesTotal === null || bytesTotal === null) return null;
  const [done, total] = bytesTotal > 0 ? [bytesDone, bytesTotal] : [filesDone, filesTotal];
  return total === 0 ? 1 : Math.min(done / total, 1);
}

function bar(share: number): string {
  const full = Math.round(share * BAR_CELLS);
  return '█'.repeat(full) + '░'.repeat(BAR_CELLS - full);
}
