// What was used: media by day, model or type with their cost, and how the models did.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { modelStats, usage, type UsageRow } from "../../client/library";
import { bytes } from "../../components/conversation/MediaRenderer";
import { dollars } from "../../components/ui/money";
import { Bars } from "./Bars";
import { useTitle } from "../../components/ui/useTitle";
import "./usage.css";

const DAY_MS = 86_400_000;
const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);

type By = "day" | "model" | "type";

export function UsagePage() {
  useTitle("Usage");
  const [by, setBy] = useState<By>("day");
  const [to, setTo] = useState(() => day(Date.now()));
  const [from, setFrom] = useState(() => day(Date.now() - 29 * DAY_MS));
  const used = useQuery({ queryKey: ["usage", by, from, to], queryFn: () => usage(by, from, to) });
  const stats = useQuery({ queryKey: ["stats", from, to], queryFn: () => modelStats(from, to) });
  const rows = used.data?.rows ?? [];
  const name = (row: UsageRow) => row[by] ?? "";
  return (
    <div className="page">
      <h1>Usage</h1>
      <form className="filters" onSubmit={(event) => event.preventDefault()}>
        <label>
          By{" "}
          <select value={by} onChange={(event) => setBy(event.target.value as By)}>
            <option value="day">day</option>
            <option value="model">model</option>
            <option value="type">type</option>
          </select>
        </label>
        <label>
          From <input type="date" value={from} max={to} onChange={(event) => setFrom(event.target.value)} />
        </label>
        <label>
          To <input type="date" value={to} min={from} onChange={(event) => setTo(event.target.value)} />
        </label>
        <a className="button" href={`/api/v1/usage?format=csv&by=${by}&from=${from}&to=${to}`} download="usage.csv">
          As CSV
        </a>
      </form>
      {used.isError && <p role="alert">{used.error.message}</p>}
      {used.isSuccess && rows.length === 0 && <p>No media were made in this time.</p>}
      {rows.length > 0 && (
        <>
          <Bars title="Media" rows={rows.map((row) => ({ name: name(row), value: row.stored, said: `${row.stored}` }))} />
          <Bars
            title="Cost"
            rows={rows.map((row) => ({ name: name(row), value: row.cost_usd_micros, said: money(row.cost_usd_micros) }))}
          />
          <Table
            caption="Media that were made"
            head={[by, "stored", "failed", "size", "cost", "median time", "p95"]}
            rows={rows.map((row) => [
              name(row),
              `${row.stored}`,
              `${row.failed}`,
              bytes(row.size_bytes),
              money(row.cost_usd_micros),
              ms(row.latency_p50_ms),
              ms(row.latency_p95_ms),
            ])}
          />
        </>
      )}
      <h2>Models</h2>
      {stats.isError && <p role="alert">{stats.error.message}</p>}
      {stats.isSuccess && stats.data.rows.length === 0 && <p>No model has answered in this time.</p>}
      {stats.isSuccess && stats.data.rows.length > 0 && (
        <Table
          caption="How the models did"
          head={["model", "answers", "failures", "first token", "tokens/s", "cost", "chosen best"]}
          rows={stats.data.rows.map((row) => [
            row.model,
            `${row.answers}`,
            `${row.failures}`,
            ms(row.first_token_p50_ms),
            row.tokens_per_second === null ? "–" : Math.round(row.tokens_per_second).toLocaleString(),
            money(row.cost_usd_micros),
            row.win_rate === null ? "–" : `${Math.round(row.win_rate * 100)} % of ${row.contests}`,
          ])}
        />
      )}
    </div>
  );
}

function Table({ caption, head, rows }: { caption: string; head: string[]; rows: string[][] }) {
  return (
    <div className="table" role="region" aria-label={caption} tabIndex={0}>
      <table>
        <caption className="visually-hidden">{caption}</caption>
        <thead>
          <tr>
            {head.map((one) => (
              <th key={one} scope="col">
                {one}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row[0]}>
              {row.map((cell, n) => (n === 0 ? <th key={n} scope="row">{cell}</th> : <td key={n}>{cell}</td>))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const money = (micros: number) => dollars(micros / 1_000_000);
const ms = (value: number | null) => (value === null ? "–" : value < 1000 ? `${value} ms` : `${(value / 1000).toFixed(1)} s`);
