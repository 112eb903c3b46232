// Providers and routes.
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { BrowserRouter, Route, Routes } from "react-router";
import { ComparePage } from "../features/compare/ComparePage";
import { Layout } from "./Layout";

const queries = new QueryClient({ defaultOptions: { queries: { staleTime: 10_000 } } });

export function App() {
  return (
    <QueryClientProvider client={queries}>
      <BrowserRouter>
        <Routes>
          <Route element={<Layout />}>
            {/* One element for both addresses: a new comparison becomes a conversation without starting anew. */}
            <Route path="/:c?/:id?" element={<ComparePage />} />
          </Route>
        </Routes>
      </BrowserRouter>
    </QueryClientProvider>
  );
}
