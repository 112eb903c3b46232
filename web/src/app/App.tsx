// Providers and routes. Pages beside the comparison are loaded when they are first opened.
import { QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense, type ComponentType } from "react";
import { BrowserRouter, Route, Routes, useParams } from "react-router";
import { ApiError, UnreachableError } from "../client/errors";
import { againMs } from "../components/ui/problem";
import { ComparePage } from "../features/compare/ComparePage";
import { Layout } from "./Layout";
import { NoSuchPage } from "./NoSuchPage";

/** Who is no longer signed in is asked again who they are; where nobody answers, the frame of the page says so. */
const onError = (error: Error, { queryKey }: { queryKey: readonly unknown[] }) => {
  if (queryKey[0] === "session") return;
  if (error instanceof UnreachableError || (error instanceof ApiError && error.status === 401))
    void queries.invalidateQueries({ queryKey: ["session"] });
};

const queries: QueryClient = new QueryClient({
  queryCache: new QueryCache({ onError }),
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      retry: (count, error) => count < 2 && !(error instanceof ApiError && error.status < 500),
      refetchInterval: ({ state }) => againMs(state.error),
    },
  },
});

function page(load: () => Promise<ComponentType>) {
  const Page = lazy(async () => ({ default: await load() }));
  return (
    <Suspense fallback={<p>Loading…</p>}>
      <Page />
    </Suspense>
  );
}

const gallery = page(async () => (await import("../features/gallery/GalleryPage")).GalleryPage);
const search = page(async () => (await import("../features/search/SearchPage")).SearchPage);
const usage = page(async () => (await import("../features/usage/UsagePage")).UsagePage);
const shared = page(async () => (await import("../features/share/SharedPage")).SharedPage);
const settings = page(async () => (await import("../features/settings/SettingsPage")).SettingsPage);

function Comparison() {
  const { c, id } = useParams();
  return c === undefined || (c === "c" && id) ? <ComparePage /> : <NoSuchPage />;
}

export function App() {
  return (
    <QueryClientProvider client={queries}>
      <BrowserRouter>
        <Routes>
          <Route path="/shared/:share" element={shared} />
          <Route element={<Layout />}>
            <Route path="/gallery" element={gallery} />
            <Route path="/search" element={search} />
            <Route path="/usage" element={usage} />
            <Route path="/settings" element={settings} />
            {/* One element for both addresses: a new comparison becomes a conversation without starting anew. */}
            <Route path="/:c?/:id?" element={<Comparison />} />
            <Route path="*" element={<NoSuchPage />} />
          </Route>
        </Routes>
      </BrowserRouter>
    </QueryClientProvider>
  );
}
