// A bar for each row. The table beside it says the same to those who do not see it.
export interface Bar {
  name: string;
  value: number;
  said: string;
}

export function Bars({ title, rows }: { title: string; rows: readonly Bar[] }) {
  const most = Math.max(1, ...rows.map((row) => row.value));
  return (
    <figure className="bars" aria-hidden="true">
      <figcaption>{title}</figcaption>
      {rows.map((row) => (
        <div key={row.name} className="bar">
          <span>{row.name}</span>
          <svg viewBox="0 0 100 10" preserveAspectRatio="none">
            <rect width={(100 * row.value) / most} height="10" rx="1" />
          </svg>
          <span>{row.said}</span>
        </div>
      ))}
    </figure>
  );
}
