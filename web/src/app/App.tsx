// The frame around every page: providers, navigation, routes.
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { BrowserRouter, Route, Routes } from "react-router";
import { ComparePage } from "../features/compare/ComparePage";

const queries = new QueryClient({ defaultOptions: { queries: { staleTime: 10_000 } } });

export function App() {
  return (
    <QueryClientProvider client={queries}>
      <BrowserRouter>
        <Routes>
          <Route path="*" element={<ComparePage />} />
        </Routes>
      </BrowserRouter>
    </QueryClientProvider>
  );
}
